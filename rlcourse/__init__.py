"""rlcourse: modern reinforcement learning in which every derivation is checked by the machine in front of the student.

Read the package from low to high: `types`, `equations` (one pure function per equation), `notation` (mathematics that runs), `nets`, `buffers`,
`envs`, `agents` (one flat file each), `train` (the loop), `figures` and `widgets`, `checks` (exercises), `authoring` (notebooks), `cli`.
"""

__version__ = "0.1.0"
