"""Balance classes: SMOTE and oversampling on training rows, each synthetic row with its parents."""
