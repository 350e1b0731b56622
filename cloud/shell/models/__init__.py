"""Language models behind their interfaces: Bedrock Converse, and whatever speaks the OpenAI form."""
