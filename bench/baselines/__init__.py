"""What Postern is measured against. Development only; nothing of the product imports from here."""
