"""How many prekeys may be claimed: by each who claims, and of each whose prekeys they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from config.settings import KeySettings
from relay.quota import Draw, Quota
from signaling.quotas import take


class ClaimAllowance:
    """The rates of claims."""

    def __init__(self, settings: KeySettings, quota: Quota) -> None:
        self._settings = settings
        self._quota = quota

    async def take(self, claimer: str, claimed: Iterable[str]) -> None:
        """Let ``claimer`` have one prekey of each of these accounts' devices; one name for each device.

        ``rate_limited``; then nothing is taken of the bucket that was short, nor of those after it: the
        claimer's own comes first, so that who is refused cannot use up what others may claim.
        """
        for draw in self._draws(claimer, Counter(claimed)):
            await take(self._quota, draw, "too many claims of prekeys")

    def _draws(self, claimer: str, counts: Counter[str]) -> Iterator[Draw]:
        settings = self._settings
        yield Draw("claims", claimer, counts.total(), settings.claims_per_second, settings.claims_burst)
        for account, count in counts.items():
            yield Draw("claimed", account, count, settings.claimed_per_second, settings.claimed_burst)
