"""Evaluators: how good is this architecture, and what did it cost to know?"""
