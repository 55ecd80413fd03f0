"""Every number that the validator decides by, in one place."""

from tunedrop.domain.model import Record


class Limits(Record):
    """Bound what is read, kept and warned of; a report carries the limits that it was made with."""

    line_bytes: int = 1 << 20
    """The longest line that is read: several times the longest context that JumpStart trains on."""
    inflated_bytes: int = 64 << 30
    """What one gzip file may inflate to."""
    inflation: int = 200
    """How many times its own size a gzip file may inflate to: text reaches 20, a bomb 1,000."""
    findings: int = 1_000
    """Findings that are kept; all of them are counted."""
    findings_per_warning: int = 100
    """Warnings of one code that are kept."""
    training_rows: int = 10
    """Fewer rows are refused: they teach nothing that their own prompt could not say."""
    few_rows: int = 100
    """Fewer rows to train on are warned of."""
    few_held_out_rows: int = 30
    """Fewer rows to measure with are warned of: the score of one model is then a matter of luck."""
    short_answer_characters: int = 2
    """An answer of fewer characters, white space aside, is nearly empty, unless answers are labels."""
    short_row_tokens: int = 8
    """A row of fewer tokens, prompt and answer together, is short."""
    empty_fields: float = 0.05
    """Empty fields beside filled ones are warned of up to this share of the rows; more of them are meant so."""
    labels: int = 1_000
    """Answers are labels when no more distinct ones than this occur, each many times over."""
    label_characters: int = 128
    """A longer answer is no label."""
    label_repeats: float = 3.0
    """Answers are labels when each occurs so often on average."""
    imbalance: float = 20.0
    """How many times the rarest label the most frequent one may occur before it is warned of."""
    compared_line_bytes: int = 64
    """Shorter lines of running text are not compared: headings, brackets and rules repeat by nature."""
    near_duplicate_similarity: float = 0.8
    """Share of the words (Jaccard) that two rows have in common, equal texts aside, to count as nearly the same."""
    near_duplicate_rows: int = 32_000_000
    """Beyond so many rows only exact duplicates are looked for; the report says so."""
    near_duplicate_pairs: int = 4_000
    """Candidate pairs that are compared on their text."""
    near_duplicate_bytes: int = 16 << 20
    """Text of candidates that is held to be compared."""
    calibration_bytes: int = 1 << 18
    """How much of the first training file the number of bytes a token is measured on."""
    image_pixels: int = 50_000_000
    """The largest picture that is accepted: width x height."""
    image_bytes: int = 20 << 20
    """The largest image file that is accepted."""
    decoded_images: int = 2_000
    """Pictures that are decoded to the last pixel; of all others the structure is read."""
