"""Re-exports what others import from here."""

from shop.pricing.quotes import Quotes, discount

__all__ = ["Quotes", "discount"]
