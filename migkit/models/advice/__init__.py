"""What limits a migration, why it ends as it does, how fast the guest runs meanwhile, and what would help."""
