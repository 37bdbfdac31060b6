"""Two servers on one store, as behind a balancer: no verdict lost or doubled, no item too often."""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy import select

from accord.store.judgements import people, studies
from accord.store.judgements.opening import open_store
from accord.store.judgements.tables import Judgement
from judgement_fakes import held, team
from processes import served
from visitors import IN_PLACE, read

PEOPLE, ITEMS, OVERLAP = 6, 12, 3


class Traveller:
    """Judges with every request at whichever server comes up; notes what it was told is saved."""

    def __init__(self, servers: Sequence[str], link: str, study: int, seed: int):
        self.servers, self.dice = servers, random.Random(seed)
        self.path, self.saved, self.undone = f"/studies/{study}/judge", list[str](), 0
        self.http = httpx.Client(headers=IN_PLACE, timeout=30)
        entered = self.http.get(f"{servers[seed % 2]}/in/{link}")
        assert entered.status_code == 303, entered.text

    def at(self) -> str:
        return self.dice.choice(self.servers) + self.path

    def judge(self) -> None:
        """Until nothing is left for them."""
        while (form := read(self.http.get(self.at()).text)) is not None:
            told = {"lease": form["lease"], "key": form["key"], "answers": "2"}
            told |= {"verdict": self.dice.choice(("first", "second", "tie"))}
            for _ in range(self.dice.choice((1, 1, 2))):  # a page sent twice, to one or to both
                said = self.http.post(self.at(), data=told)
                assert said.status_code == 200, said.text
                assert "Saved." in said.text
            self.saved.append(form["lease"])
            if self.dice.random() < 0.15:
                back = self.http.post(f"{self.at()}/undo")
                assert "Taken back." in back.text
                self.undone += 1
        self.http.close()


def test_people_spread_over_both(where: str) -> None:
    store = open_store(where)
    study = held(store, count=ITEMS, overlap=OVERLAP)
    links = [people.one_time_link(store, user.id) for user in team(store, PEOPLE)]
    with served(where) as (_, first, _), served(where) as (_, second, _):
        servers = [link.partition("/in/")[0] for link in (first, second)]
        assert servers[0] != servers[1]
        few = [Traveller(servers, link, study.id, seed) for seed, link in enumerate(links)]
        with ThreadPoolExecutor(PEOPLE) as pool:
            for job in [pool.submit(one.judge) for one in few]:
                job.result()
    with store.read() as session:
        every = [*session.scalars(select(Judgement))]
    undone = {one.supersedes for one in every if one.act == "withdraw"}
    said = [one for one in every if one.act == "judge"]
    count = [one for one in said if one.id not in undone]
    assert sorted(one.lease_id for one in said) == sorted(
        int(lease) for one in few for lease in one.saved
    ), "what was told is saved is there, once"
    assert len(undone) == sum(one.undone for one in few) > 0
    assert Counter(one.item_id for one in count) == dict.fromkeys(range(1, ITEMS + 1), OVERLAP)
    assert max(Counter((one.item_id, one.user_id) for one in count).values()) == 1
    assert studies.studies(store)[0].open == 0
    store.close()
