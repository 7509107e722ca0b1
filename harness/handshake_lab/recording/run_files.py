"""Names of the files in a run's directory."""

#: The observations: one JSON object per line.
EVENTS = "events.jsonl"
#: The error that ended a run in a kernel, until the process that started the kernel raises it.
ERROR = "error.json"
#: Where a branch of a run parted from the others, and how.
BRANCH = "branch.json"
#: The captured segments, for Wireshark.
CAPTURE = "capture.pcapng"
#: The page of a run; in a directory of runs, their index.
PAGE = "index.html"
#: What a Mininet script printed.
SCRIPT_OUTPUT = "script.out"
#: The directory with the files that a Mininet script wrote in its working directory, on a lab kernel.
SCRIPT_FILES = "files"
