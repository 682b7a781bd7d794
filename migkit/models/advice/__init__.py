"""What limits a migration, why it ends as it does, and what would help: each change is predicted first."""
