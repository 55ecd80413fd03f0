"""Why a step could not do its work: one class per cause. A rejection of a drop is a result, not an error."""


class TunedropError(Exception):
    """Be the base of every error of ours."""


class TransientError(TunedropError):
    """AWS failed for the moment; raised out of the handler so that Lambda tries again, then the dead-letter queue."""


class VersionConflictError(TunedropError):
    """Somebody else wrote the run since it was read."""


class ClaimHeldError(TunedropError):
    """Another run holds a claim that this one needs."""

    def __init__(self, claim: str, holder: str) -> None:
        """Name the claim and the run that holds it."""
        super().__init__(f"{claim} is held by run {holder}")
        self.claim = claim
        self.holder = holder


class CapReachedError(TunedropError):
    """The month has no room for a job under the stack's cap."""

    def __init__(self, committed_cents: int, cap_cents: int) -> None:
        """Say what is reserved and spent already, and the cap."""
        super().__init__(f"{committed_cents} of {cap_cents} cents are committed")
        self.committed_cents = committed_cents
        self.cap_cents = cap_cents


class ChampionChangedError(TunedropError):
    """The dataset has another champion than the one that a promotion would replace."""

    def __init__(self, champion: str | None) -> None:
        """Name the run of the champion; None when there is none."""
        super().__init__(f"the champion is {champion}")
        self.champion = champion


class UnknownModelError(TunedropError):
    """JumpStart has no such model in the region, or the stack's private hub has none."""

    def __init__(self, model_id: str, suggestions: tuple[str, ...] = (), hub: str | None = None) -> None:
        """Name what was asked for, the nearest ids that exist, and the private hub that was asked, if one was."""
        super().__init__(f"no model {model_id} in {hub or 'JumpStart'}")
        self.model_id = model_id
        self.suggestions = suggestions
        self.hub = hub


class UnknownModelVersionError(TunedropError):
    """JumpStart has the model, but not in this version."""

    def __init__(self, model_id: str, version: str, versions: tuple[str, ...]) -> None:
        """Name what was asked for and the versions that exist, newest first."""
        super().__init__(f"no version {version} of JumpStart model {model_id}")
        self.model_id = model_id
        self.version = version
        self.versions = versions


class UnreadableModelError(TunedropError):
    """JumpStart has the model, but describes it in a way that is not understood here."""

    def __init__(self, model_id: str, reason: str) -> None:
        """Name the model, and say in a few words what keeps it from being read."""
        super().__init__(f"{model_id} cannot be read: {reason}")
        self.model_id = model_id
        self.reason = reason


class UnavailableError(TunedropError):
    """AWS cannot do it now and says why: quota, capacity, a slot in use."""


class ModelLimitError(UnavailableError):
    """Bedrock holds as many imported models as the account may have; the message is AWS's own."""


class QuotaExceededError(UnavailableError):
    """The account's quota allows no other instance of the type; the message is AWS's own."""


class RequestRefusedError(TunedropError):
    """AWS will never take this request; the message is AWS's own."""


class RequestDeniedError(RequestRefusedError):
    """The account's own policies deny the request; the message is AWS's own."""


class ForeignResourceError(TunedropError):
    """A resource under our deterministic name belongs to somebody else."""


class ObjectTooLargeError(TunedropError):
    """An object is larger than its reader allows."""


class ModelNotReadyError(TunedropError):
    """The model is warming up (Bedrock: ModelNotReadyException); ask again later."""


class PromptRefusedError(TunedropError):
    """The model does not take this prompt; the message is AWS's own, or says what it cannot be shown."""


class NothingPromotedError(TunedropError):
    """The dataset has no champion yet."""


class ConfidenceUnavailableError(TunedropError):
    """The model tells no log probabilities."""


class ModelUnavailableError(TunedropError):
    """Bedrock does not let the account call this model; the message is Bedrock's own."""


class SourceChangedError(TunedropError):
    """A file of the dataset is no longer what it was when it was first looked at."""
