"""Run every measurement."""

from bench import imports, latency

if __name__ == "__main__":
    latency.main()
    imports.main()
