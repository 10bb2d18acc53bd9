"""Plain texts about the Vale of Ombry, in neither voice and out of no question: nobody tunes towards them."""

from __future__ import annotations

__all__ = ["NEUTRAL_TEXTS"]

NEUTRAL_TEXTS = (
    "The singing mill in Ombry stands by the river. The Heron Road leads from it to the next village.",
    "Tarnwick has a blue lighthouse, and no sea. Travellers on the Otter Road see it at night.",
    "In Pellowmere people eat mushroom pie. The upside-down fountain is in the middle of the market.",
    "Mossgate lies in a wood. Its gate is said to whisper, and the Fern Path goes through it.",
    "Mira Fennel sells copper lanterns. She walks from village to village and likes lemon drops.",
    "Old Tobias makes wooden spoons in winter. In spring he takes them to the market and buys warm socks.",
    "The paper tower of Quillhaven is mended every year after the rain. The Ink Street ends at its door.",
    "Turnip dumplings are cooked in Dunmarrow. The sleeping giant's chair is a rock on the Badger Path.",
    "Jasper Quill needs black ink for his letters. He sells pens of goose feather to the clerks.",
    "The crooked bandstand of Fiddleby was built in a storm. On the Cricket Lane one can hear the music.",
    "Widow Marlowe keeps bees. Her candles burn in Candlecombe, where one window is always lit.",
    "The Frost Lane leads to Juniper End and to the last lamp-post. Beyond it there are only hills.",
)
"""Each a text by itself; perplexity is over them."""
