"""The stages of the pipeline: one thin file each, named as in ``dvc.yaml``."""
