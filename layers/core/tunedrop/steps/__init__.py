"""The effects: each looks, does one idempotent deed, and says what it saw."""
