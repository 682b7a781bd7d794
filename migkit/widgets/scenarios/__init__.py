"""Explorers of one guest on one path: sliders, and what each strategy, policy, link and network makes of them."""
