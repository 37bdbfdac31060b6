"""The store of judgements: what people and judges said, about what, when, and in which order shown.

`opening.open_store` opens it; nothing in it is ever overwritten.  SQLite by default, PostgreSQL by
URL.  No torch.
"""
