"""What is trusted here, what is not, and what follows: beside the protocol (:mod:`migkit.harness.protocol.wire`).

**Trusted.** Whoever starts migkit, root, and the kernel; the folders that Python imports from without the working
folder; the environment variables of the user (PATH, NUMBA_CACHE_DIR, whose files numba unpickles); Python code
that the user runs: scripts, notebooks, rules registered by them. The private channels between a process and those
that it starts: pairs of sockets without a name, which nobody else can open.

**Not trusted.** Files, whoever wrote them: scenarios, designs, profiles, calibrations, traces, checkpoints, logs.
Peers on the network, before they have proved who they are and in every frame after that. Programs that are watched,
their command lines, their names. The folder that migkit happens to be started in.

====================  ====================================================================================
what                  what it proves, and what it does not
====================  ====================================================================================
seal of a file        SHA-256: that it is not damaged. Not who wrote it: anybody can alter and seal anew, so
                      every value behind a right seal is checked like one in front of it
token of a migration  that the peer got it from who started the destination; it is sent once a connection. In
                      plain text whoever sees the path can read it, and read and alter the guest's memory
certificates          TLS 1.3: that the peer holds a key that the authority of this one migration signed, which
                      then lost its own key; secrecy and integrity of all that passes. Plain text must be asked for
checksum of a frame   that it was not damaged on its way. Not that the peer is honest
proof of a run        that memory and registers equal those of a guest never moved, made by the same seed
====================  ====================================================================================

**No file and no peer carries code.** Readers build plain values from JSON, TOML and Parquet; nothing is unpickled,
unmarshalled or evaluated, and a key that is not known is refused. A registered rule travels only from a
process to those that it starts (:mod:`migkit.scenario.rules`); a scenario, also one in a trace or a checkpoint, names
a policy, and names nothing else.

**No file and no peer leads a write elsewhere.** A guest's registers, in a checkpoint or a STATE frame, must be some
that such a guest can have (:mod:`migkit.harness.guests.registers`), and its writers hold the bounds of every page
class against the memory. Page numbers, lengths and totals of frames are held against the memory that the
destination was prepared for.

**No size is believed.** Readers open regular files only, and know the most that each kind may have before they read
(:mod:`migkit.files`, :mod:`migkit.traces.pages`); a checkpoint is held against the file's own size and the memory
that is left, a design counts its runs before it lists them.

**Our processes are our own.** Every Python that migkit starts is isolated (:mod:`migkit.isolation`): a
``psutil.py`` in the working folder is no part of it. JupyterLab starts without that folder too, but a notebook's
kernel imports from the notebook's folder, as everywhere in Jupyter: open notebooks that you would run.

**What is written** appears whole or not at all, through no link. What holds a guest's memory or tells of it, as
checkpoints, traces, dirty profiles and calibrations do, and keys, is readable by its owner only; folders of keys and
of designed runs are closed to others.

**Not protected.** ``python -m migkit`` imports Python's own modules from the working folder before a line of migkit
runs: use the command ``migkit``, or ``python -P -m migkit``. A checkpoint may claim that its guest did very much:
proving that takes as long as doing it. A guest's content is not encrypted at rest. Side channels and a hostile
root are out of scope; who may read this process's memory may read the guest's.
"""
