"""Drop a dataset, get a tuned model behind Amazon Bedrock Converse, and the proof that it is better."""
