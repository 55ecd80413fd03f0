"""A local SageMaker: training jobs that run the real script of their `code` channel as a process of this machine."""
