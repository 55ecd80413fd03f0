"""What crosses a boundary, checked by pydantic: AWS's events, our own, and tune.yaml."""
