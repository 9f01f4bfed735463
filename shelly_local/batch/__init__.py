"""Many photos as a job that can be stopped: batches on disk, one whole output at the end.

A job lives in the folder ``OUTPUT.parts`` until it is finished::

    job.json           what the job is: inputs, model, size of a batch
    inputs.jsonl       the photos, one per line, in order
    part-000000.jsonl  the results of a batch, written whole or not at all

``job`` keeps this folder, ``local`` and ``ray_engine`` do the batches, ``run`` is all of it.
"""
