"""An app with deposits and bookings."""
