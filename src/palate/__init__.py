"""Palate gives a language model your taste.

Heavy libraries load when first needed: `import palate` is instant.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
