"""What runs in the job's container: `python -m covalent_awsbatch_plugin.runner`.

It reads the task from S3, runs it, and writes one object that says how it went. Three environment variables name the
places: `S3_BUCKET_NAME`, `COVALENT_TASK_FUNC_FILENAME` and `RESULT_FILENAME`. Region, endpoint and credentials are the
container's own; three more variables may name the bucket's owner, a KMS key and the signing key (see `naming`). The
exit status is 0 if the function returned and its result was stored, 143 if SIGTERM ended it (terminated, out of time,
its host lost), that of the function's process if it ended without an answer (137 and 139: killed, crashed), else 1.

There are two processes. The first, `supervisor`, calls S3, receives SIGTERM, forwards the output and writes the
envelope. It forks the second, `worker`, which runs the function, while it has no threads or connections. So:

- The function's process is a plain one. SIGTERM has its default action there and is not blocked, and its children,
  forked or executed, inherit that. With a handler in Python, or a check of the process id in one, `multiprocessing`
  loses the SIGTERM that it sends to a worker in its first moments, and waits for it for ever.
- What the function's process does to itself (a crash, `os._exit`, no memory left, all descriptors closed, a thread that
  does not end) takes neither the result nor what was printed with it: the bytes are in a pipe, or already in the log.
  A pump in the same process would die with it, and a file that is read back would fill the disk. What is lost is what
  was printed in the last moment before the container as a whole is killed.
- Threads and descriptors of the S3 client do not interfere with the function's, nor the other way round.

The price, measured on a busy machine: 5 MB of memory (59 and 63 MB, both processes together) and a tenth of a second of
processor time (0.57 and 0.67 s). The task is fetched while the worker imports Covalent.
"""
