"""When a challenger takes the champion's place: scored alike, compared by patient, decided by a rule set in advance."""
