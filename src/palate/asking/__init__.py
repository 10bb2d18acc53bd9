"""Asking models, and never asking twice: what they said is on disk before anyone uses it."""

from palate.asking.account import Account, ModelAccount
from palate.asking.budget import Budget
from palate.asking.endpoint import Endpoint
from palate.asking.in_order import ask_in_order
from palate.asking.limits import Limits
from palate.asking.prices import Price, PriceList, load_prices
from palate.asking.rehearsal import Rehearsal
from palate.asking.replies import chat_completion, read_reply
from palate.asking.requests import AskedForm, Asker, Reply, Request, Status, Usage
from palate.asking.store import Attempt, ResponseStore, Stored, default_store_path

__all__ = [
    "Account",
    "AskedForm",
    "Asker",
    "Attempt",
    "Budget",
    "Endpoint",
    "Limits",
    "ModelAccount",
    "Price",
    "PriceList",
    "Rehearsal",
    "Reply",
    "Request",
    "ResponseStore",
    "Status",
    "Stored",
    "Usage",
    "ask_in_order",
    "chat_completion",
    "default_store_path",
    "load_prices",
    "read_reply",
]
