"""`covalent-awsbatch report`: one page about a dispatch: when what ran, how much memory it took, and what it cost.

`gathering` gathers what is known, as `work` has it, `prices` and `sizes` draw conclusions, and `page` and `timeline`
write them down. Uses `show`.
"""
