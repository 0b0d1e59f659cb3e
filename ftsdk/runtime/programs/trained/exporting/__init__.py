"""What an export to GGUF writes and compares: the files, their header, conversations, Ollama's Modelfile."""
