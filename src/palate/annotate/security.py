"""Who may use the server: the names it answers to, tokens, sessions, and the password.

A server on this machine is reached by every program on it and, through the browser, by every page that its
user has open. So an address alone opens nothing: a random token, new at each start and told only to whoever
started the server, becomes a cookie that scripts cannot read and other sites cannot send. Plain http has no
`Secure` flag, and cookies do not tell ports apart: another server of the same machine that this browser
visits is sent this cookie too. It is worth nothing after the server stops.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from palate.errors import CallError

__all__ = ["MIN_PASSWORD_CHARACTERS", "Access", "Password", "PublicName", "Purpose", "is_loopback"]

MIN_PASSWORD_CHARACTERS = 12
_MAX_PASSWORD_CHARACTERS = 1024
_MAX_ADDRESSES = 1024
"""Of so many addresses wrong passwords are remembered; beyond that the oldest is forgotten."""
_FREE_TRIES = 3
_LONGEST_WAIT_SECONDS = 300.0
Purpose = Literal["session", "login"]
"""Of a cookie: its owner was let in; or was shown the form that asks for the password, and no more."""

_NAME = re.compile(r"(https?://)?([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?/?")


@dataclass(frozen=True, slots=True)
class PublicName:
    """A name under which people reach a server that does not listen on this machine alone."""

    host: str
    """As browsers send it: lower case, with its port where that is not the scheme's own."""
    has_port: bool
    is_https: bool
    """Stated as https://: something in front of this server encrypts, and the cookie goes no other way."""

    @classmethod
    def parse(cls, text: str) -> PublicName:
        """`votes.example.org`, `192.168.1.5:8765` or `https://votes.example.org`.

        Raises:
            CallError: it is none of these.
        """
        found = _NAME.fullmatch(text.strip().lower())
        if found is None:
            raise CallError(
                "this is no name of a server",
                where="--public-name",
                next="give it as people type it: votes.example.org, 192.168.1.5 or https://votes.example.org",
            )
        scheme, host, port = found.groups()
        usual = ":443" if scheme == "https://" else ":80"
        named = host if port in (None, usual) else host + port
        return cls(named, port is not None, scheme == "https://")


class Password:
    """A password, kept as a slow hash, and how often it was guessed wrong from where."""

    def __init__(self, password: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        if len(password) < MIN_PASSWORD_CHARACTERS:
            raise CallError(
                f"the password has {len(password)} characters, at least {MIN_PASSWORD_CHARACTERS} are needed",
                where="--password-env",
                why="whoever reaches the address can try passwords",
            )
        self._salt = secrets.token_bytes(16)
        self._hash = self._hashed(password)
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, guess: str, address: str) -> bool | float:
        """True or False, or the seconds for which this address has to wait before it may try again.

        After a few wrong guesses the wait doubles with each. One guess is hashed at a time, so that many at
        once cannot take the machine's memory.
        """
        where = _network(address)
        with self._lock:
            wait = self._wait(where)
            if wait > 0:
                return wait
            if len(guess) <= _MAX_PASSWORD_CHARACTERS and hmac.compare_digest(
                self._hashed(guess), self._hash
            ):
                self._wrong.pop(where, None)
                return True
            num_wrong = self._wrong.pop(where, (0, 0.0))[0] + 1
            self._wrong[where] = (num_wrong, self._clock())
            while len(self._wrong) > _MAX_ADDRESSES:
                self._wrong.popitem(last=False)
            return False

    def _wait(self, where: str) -> float:
        num_wrong, last = self._wrong.get(where, (0, 0.0))
        if num_wrong < _FREE_TRIES:
            return 0.0
        pause = min(2.0 ** min(num_wrong - _FREE_TRIES, 30), _LONGEST_WAIT_SECONDS)
        return max(0.0, last + pause - self._clock())

    def _hashed(self, password: str) -> bytes:
        # 16 MiB and some tens of milliseconds a guess.
        return hashlib.scrypt(password.encode("utf-8", "replace"), salt=self._salt, n=2**14, r=8, p=1)


def _network(address: str) -> str:
    """What one person holds of addresses: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Access:
    """What a request has to show to be answered.

    With a `password` there is no token: people come from elsewhere and log in.
    """

    port: int
    host: str = "127.0.0.1"
    public_names: tuple[PublicName, ...] = ()
    password: Password | None = field(default=None, repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        if not self.is_loopback and self.password is None:
            who = "under a public name" if is_loopback(self.host) else f"on {self.host}"
            raise CallError(
                f"{who} others reach the votes, and there is no password",
                where="--public-name" if is_loopback(self.host) else "--host",
                next="put a password into an environment variable and name it: --password-env NAME",
            )
        if self._is_everywhere and not self.public_names:
            raise CallError(
                f"{self.host} is every address of this machine, and a server answers to its names only",
                where="--host",
                why="a page of another site could give itself this machine's address",
                next="say how people reach it: --public-name votes.example.org, or the address they type",
            )

    @property
    def _is_everywhere(self) -> bool:
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_unspecified
        except ValueError:
            return False

    def cookie(self, purpose: Purpose) -> str:
        """The cookie's name; it has the port in it, since cookies do not tell ports apart."""
        return f"palate-{purpose}-{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine is served."""
        return is_loopback(self.host) and not self.public_names

    @property
    def is_https(self) -> bool:
        """Whether every name people use is an encrypted one."""
        return bool(self.public_names) and all(name.is_https for name in self.public_names)

    @property
    def hosts(self) -> frozenset[str]:
        """What may stand in `Host`, in lower case."""
        own = {"127.0.0.1", "localhost", "[::1]"}
        if not self._is_everywhere:
            own.add(f"[{self.host.strip('[]')}]" if ":" in self.host else self.host.lower())
        found = {f"{name}:{self.port}" for name in own} | (own if self.port == 80 else set())
        for public in self.public_names:
            found.add(public.host)
            if not public.has_port and not public.is_https:
                found.add(f"{public.host}:{self.port}")
        return frozenset(found)

    @property
    def origins(self) -> frozenset[str]:
        """What may stand in `Origin`."""
        encrypted = {name.host for name in self.public_names if name.is_https}
        return frozenset(f"{'https' if host in encrypted else 'http'}://{host}" for host in self.hosts)

    def url(self) -> str:
        """Where to begin; with the token in it where one is needed."""
        if self.public_names:
            name = self.public_names[0]
            port = "" if name.is_https or name.has_port or self.port == 80 else f":{self.port}"
            start = f"{'https' if name.is_https else 'http'}://{name.host}{port}"
        else:
            host = f"[{self.host.strip('[]')}]" if ":" in self.host else self.host
            start = f"http://{host}:{self.port}"
        return f"{start}/login" if self.password is not None else f"{start}/enter?token={self.token}"

    def is_token(self, given: str) -> bool:
        """Whether it is the token; takes as long for any wrong one."""
        return self.password is None and _same(given, self.token)

    def new_cookie(self, purpose: Purpose) -> str:
        """A cookie's value: random, and signed, so that nothing has to be remembered of it."""
        name = secrets.token_urlsafe(24)
        return f"{name}.{self._signed(purpose, name)}"

    def is_cookie(self, given: str, purpose: Purpose) -> bool:
        """Whether this server gave out that cookie, for that purpose, since it started."""
        name, _, signature = given.partition(".")
        return _same(signature, self._signed(purpose, name))

    def csrf(self, cookie: str) -> str:
        """What a page of this session sends with all it changes; pages of other sites cannot read it."""
        return self._signed("csrf", cookie)

    def is_csrf(self, given: str, cookie: str) -> bool:
        """Whether it is that."""
        return _same(given, self.csrf(cookie))

    def _signed(self, purpose: str, text: str) -> str:
        content = f"{purpose}:{text}".encode("utf-8", "replace")
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode("utf-8"))
