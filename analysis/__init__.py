"""Reads ledgers and says what they show. Never imports ray, torch or transformers."""
