"""`covalent-awsbatch report`: one page about a dispatch: when what ran, how much memory it took, and what it cost.

`work` gathers what is known, `prices` and `sizes` draw conclusions, and `page` and `timeline` write them down. Uses
`show`.
"""
