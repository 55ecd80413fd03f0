"""The ports on boto3; botocore's error codes are translated here and nowhere else."""
