from dataclasses import dataclass


@dataclass
class Article:
    name: str
    price: float
