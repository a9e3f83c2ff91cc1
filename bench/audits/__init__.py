"""Audits gradients of any origin: are they biased, how noisy are they, how do two sources compare?

Estimates come from a function `draw(seed, count)`, from a Python file that defines one, from a command that writes a
`.npy` file, or from an array. They are judged by the statistics of the suite. The way of an audit:

    arrays       checks arrays and `.npy` files, from anyone
    sources      chunks of estimates: from an array, or from calls with a seed and a count
    children     what runs in a separate process: a user's file, a command
    origins      the source of what a user gives
    watched      the summary of a stream, which also looks for NaN and for rows that repeat
    streams      draws and judges: one stream, or the difference of two
    rows         the table, and the worst coordinates
    result       the answer: sentence, claims, table; as JSON, in a folder, on a page
    audit        `bench.audit`
"""
