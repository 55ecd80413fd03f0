"""The report of a run as one page: what became of it, why, what it rests on, what it cost, and what to try next.

`page` puts it together; `evaluation`, `training` and `account` write its parts; `advice` says what to try next. All
of it shows what a `RunReport` holds, and computes no score anew.
"""
