"""What every `PostSearch` promises: the same hits, in the same order, on every storage."""

import random
from datetime import timedelta

import pytest

from application.posts.ports import Period
from application.posts.search import SearchCriteria, SearchPosition
from domain.identity.user import User
from domain.posts.search import SearchableText, SearchQuery
from domain.posts.values import TEXT_MAX_BYTES, PostText
from domain.shared.ids import PostId, UserId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.contracts.scenarios import given

CORPUS = {
    "café": "Un café, s'il vous plaît",
    "decomposed": "cafe\u0301 noir",
    "cafe": "a cafe in town",
    "straße": "Die Straße ist lang",
    "STRASSE": "DIE STRASSE IST LANG",
    "istanbul": "İSTANBUL'da yaşam",
    "sigma": "Ὀδυσσεύς",
    "ligature": "the ﬁrst oﬃce",
    "full width": "ＰＯＳＴＥＲＮ　１２３",
    "emoji": "party 🎉🎉 tonight",
    "heart": "I ❤️ tests",
    "東京": "東京都に住んでいます",
    "京東": "京東商城",
    "北京": "我爱北京天安门",
    "한국어": "한국어 검색",
    "thai": "ภาษาไทยง่ายมาก",
    "hindi": "हिन्दी भाषा",
    "arabic": "مرحبا بالعالم",
    "stop words": "to be or not to be, that is the question about it",
    "short": "a b c go I x1",
    "operators": 'C++ is +not -C* "really" (ever) ~so <b>@home</b> a:b a&b !x x|y',
    "wildcards": "100% of under_score \\ back'slash",
    "numbers": "In 1984 version 3.14 of x86_64",
    "soft hyphen": "co\u00adopera\u00adtion",
    "long": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "repeated": "spam spam spam spam egg",
    "single": "egg spam ham and a few more words",
    "no words": "!!! --- ...",
}


async def the_corpus(storage: Storage, author: User) -> dict[PostId, str]:
    """Publish the corpus, and return the name of each post by its id."""
    posts = {name: a_post(author, text) for name, text in CORPUS.items()}
    async with storage.posts_units() as uow:
        for post in posts.values():
            await uow.posts.add(post)
        await uow.commit()
    return {post.id: name for name, post in posts.items()}


async def found_by(storage: Storage, q: str, **criteria: object) -> list[PostId]:
    asked = SearchCriteria(query=SearchQuery.parse(q), **criteria)  # type: ignore[arg-type]  # tests pass it through
    return [hit.position.post_id for hit in await storage.search.find(asked, limit=100, after=None)]


EXPECTED = [
    ("café", {"café", "decomposed"}),
    ("CAFE\u0301", {"café", "decomposed"}),
    ("cafe", {"cafe"}),
    ("strasse", {"straße", "STRASSE"}),
    ("Straße", {"straße", "STRASSE"}),
    ("istanbul", set()),  # İ folds to i with a dot above it, in every locale alike
    ("İstanbul", {"istanbul"}),
    ("ΟΔΥΣΣΕΎΣ", set()),  # without the breathing it is another word
    ("ὈΔΥΣΣΕΎΣ", {"sigma"}),
    ("first office", {"ligature"}),
    ("postern 123", {"full width"}),
    ("🎉", {"emoji"}),
    ("❤", {"heart"}),
    ("東京", {"東京"}),
    ("京", {"東京", "京東", "北京"}),
    ("京東", {"京東"}),
    ("北京 天安门", {"北京"}),
    ("天安 我爱", {"北京"}),
    ("검색", {"한국어"}),
    ("색", set()),
    ("ไทย", {"thai"}),
    ("हिन्दी", {"hindi"}),
    ("हिन", set()),
    ("مرحبا", {"arabic"}),
    ("the", {"ligature", "stop words"}),
    ("to be or not to be", {"stop words"}),
    ("about", {"stop words"}),
    ("a", {"cafe", "short", "operators", "single"}),
    ("x1", {"short"}),
    ("go", {"short"}),
    ("x", {"operators"}),
    ("c++", {"short", "operators"}),
    ("not", {"operators", "stop words"}),
    ("-not", {"operators", "stop words"}),
    ("NOT be", {"stop words"}),
    ("spam OR ham", set()),  # `or` is a word like any other
    ("really*", {"operators"}),
    ("real*", set()),
    ("(ever)", {"operators"}),
    ("a:b", {"short", "operators"}),
    ("@home", {"operators"}),
    ("home @5", set()),
    ("words:egg", {"single"}),
    ("100%", {"wildcards"}),
    ("under_score", {"wildcards"}),
    ("under%", {"wildcards"}),
    ("back\\slash", {"wildcards"}),
    ("3.14", {"numbers"}),
    ("1984", {"numbers"}),
    ("x86_64", {"numbers"}),
    ("cooperation", {"soft hyphen"}),
    ("co", set()),
    (CORPUS["long"].upper(), {"long"}),
    (CORPUS["long"][:-1], set()),
    ("spam egg", {"repeated", "single"}),
    ('"spam egg"', {"repeated"}),
    ('"egg spam"', {"single"}),
    ('"spam spam spam spam"', {"repeated"}),
    ('"spam spam spam spam spam"', set()),
    ('"egg spam" ham', {"single"}),
    ('spam "ham', {"single"}),
    ("nothing of that kind", set()),
]


async def test_the_same_posts_are_found_on_every_storage(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    names = await the_corpus(storage, alice)

    wrong = {}
    for q, expected in EXPECTED:
        found = {names[id] for id in await found_by(storage, q)}
        if found != expected:
            wrong[q] = found
    assert wrong == {}


async def test_the_order_and_the_scores_are_those_of_the_domain(storage: Storage) -> None:
    alice = a_user()
    await given(storage, alice)
    names = await the_corpus(storage, alice)

    for q in ("spam", "a", "京", "egg spam", '"to be"', "c a b"):
        query = SearchQuery.parse(q)
        hits = await storage.search.find(SearchCriteria(query=query), limit=100, after=None)
        scores = {id: SearchableText.of(CORPUS[name]).score(query) for id, name in names.items()}
        expected = sorted(((score, id) for id, score in scores.items() if score), reverse=True)
        assert [(hit.position.score, hit.position.post_id) for hit in hits] == expected, q
        assert [hit.text_bytes for hit in hits] == [len(CORPUS[names[id]].encode()) for _, id in expected]


async def test_what_says_it_more_often_in_fewer_words_comes_first_and_then_the_newer(storage: Storage) -> None:
    alice = a_user()
    once_in_many = a_post(alice, "needle " + "hay " * 500)
    twice = a_post(alice, "needle and needle")
    older, newer = a_post(alice, "a needle"), a_post(alice, "one needle")
    await given(storage, alice, once_in_many, newer, older, twice)

    assert await found_by(storage, "needle") == [twice.id, newer.id, older.id, once_in_many.id]


def letters(source: random.Random) -> str:
    return "".join(source.choice("+-*\"()~<>@:&|!%_\\'^$#?.,;/[]{}=`\x01\t abAB10 ßé東🎉\u0301") for _ in range(12))


async def test_no_operator_of_any_engine_means_anything(storage: Storage) -> None:
    """Whatever is typed finds what the domain says, and nothing is ever refused by the database."""
    alice = a_user()
    source = random.Random(20260304)
    posts = [a_post(alice, f"{letters(source)} {letters(source)} .") for _ in range(40)]
    await given(storage, alice)
    async with storage.posts_units() as uow:
        for post in posts:
            await uow.posts.add(post)
        await uow.commit()

    tried = 0
    for q in (letters(source) for _ in range(300)):
        if not SearchableText.of(q).count:
            continue
        tried += 1
        query = SearchQuery.parse(q)
        expected = {post.id for post in posts if SearchableText.of(post.text.value).score(query)}
        assert set(await found_by(storage, q)) == expected, q
    assert tried > 200


async def test_an_edit_and_a_deletion_are_found_at_once(storage: Storage) -> None:
    alice = a_user()
    edited, deleted = a_post(alice, "before one"), a_post(alice, "before two")
    await given(storage, alice, edited, deleted)

    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(edited.id)
        loaded.edit(by=an_actor(alice), text=PostText("after"), at=NOW)
        await uow.posts.save(loaded, owner=alice.id)
        gone = await uow.posts.get(deleted.id)
        gone.delete(by=an_actor(alice), at=NOW)
        await uow.posts.remove(gone, owner=alice.id)
        assert len(await found_by(storage, "before")) == 2, "nothing is committed yet"
        await uow.commit()

    assert await found_by(storage, "before") == []
    assert await found_by(storage, "after") == [edited.id]


async def test_an_acknowledged_post_is_found_by_the_next_search_whatever_the_engine_is_busy_with(
    storage: Storage,
) -> None:
    """InnoDB writes its index out in the background every now and then, and finds nothing of it meanwhile."""
    alice = a_user()
    await given(storage, alice)

    missed: list[int] = []
    for number in range(60):
        filler = " ".join(f"x{number}y{n}" for n in range(300))
        post = a_post(alice, f"unique{number} {filler}")
        await given(storage, post)
        found = [await found_by(storage, f"unique{number} x{number}y{n}") for n in (0, 299)]
        missed += [number for ids in found if ids != [post.id]]
    assert missed == []


async def test_what_is_rolled_back_was_never_found(storage: Storage) -> None:
    alice = a_user()
    there = a_post(alice, "kept words")
    await given(storage, alice, there)

    async with storage.posts_units() as uow:
        await uow.posts.add(a_post(alice, "lost words"))
        loaded = await uow.posts.get(there.id)
        loaded.edit(by=an_actor(alice), text=PostText("lost too"), at=NOW)
        await uow.posts.save(loaded, owner=alice.id)

    assert await found_by(storage, "lost") == []
    assert await found_by(storage, "words") == [there.id]


async def test_a_deleted_account_takes_its_words_along(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    of_alice, of_bob = a_post(alice, "shared secret"), a_post(bob, "shared joke")
    await given(storage, alice, bob, of_alice, of_bob)

    async with storage.identity_units() as uow:
        user = await uow.users.get(alice.id)
        await uow.users.remove(user, at=NOW)
        await uow.commit()

    assert await found_by(storage, "shared") == [of_bob.id]
    assert await found_by(storage, "secret") == []


async def test_an_author_and_a_period_narrow_the_search(storage: Storage) -> None:
    alice, bob = a_user(), a_user()
    second = timedelta(seconds=1)
    early, late = a_post(alice, "word"), a_post(alice, "word", created_at=NOW + second)
    foreign = a_post(bob, "word", created_at=NOW + second)
    await given(storage, alice, bob, early, late, foreign)

    assert await found_by(storage, "word", author=alice.id) == [late.id, early.id]
    assert await found_by(storage, "word", author=UserId(an_id())) == []
    assert set(await found_by(storage, "word", period=Period(since=NOW + second))) == {late.id, foreign.id}
    assert await found_by(storage, "word", period=Period(until=NOW + second)) == [early.id]
    both = Period(since=NOW, until=NOW + second)
    assert await found_by(storage, "word", author=alice.id, period=both) == [early.id]


async def test_paging_skips_and_repeats_nothing_while_posts_are_published_and_deleted(storage: Storage) -> None:
    alice = a_user()
    there = [a_post(alice, "needle " * (1 + number % 3) + "in hay") for number in range(12)]
    await given(storage, alice, *there)
    criteria = SearchCriteria(query=SearchQuery.parse("needle"))
    expected = [hit.position for hit in await storage.search.find(criteria, limit=100, after=None)]
    assert len(expected) == 12

    read: list[SearchPosition] = []
    for _ in range(4):
        page = await storage.search.find(criteria, limit=3, after=read[-1] if read else None)
        read += [hit.position for hit in page]
        # A better one comes in at the front, and the very post that the next page counts from goes away.
        await given(storage, a_post(alice, "needle needle needle needle needle needle"))
        async with storage.posts_units() as uow:
            await uow.posts.remove(await uow.posts.get(read[-1].post_id), owner=alice.id)
            await uow.commit()

    assert read == expected


async def test_what_was_found_is_shown_in_its_order_without_what_is_gone(storage: Storage) -> None:
    alice = a_user()
    first, second = a_post(alice, "one"), a_post(alice, "two")
    await given(storage, alice, first, second)

    shown = await storage.search.show([second.id, PostId(an_id()), first.id], viewer=alice.id)

    assert [(post.text, post.my_vote) for post in shown] == [("two", 0), ("one", 0)]
    assert await storage.search.show([], viewer=None) == []


def many_words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))


@pytest.mark.parametrize(
    ("text", "last_found"),
    [
        pytest.param(many_words(60_000), "w19999", id="many words"),
        pytest.param("".join(chr(0x4E00 + number % 20_000) for number in range(TEXT_MAX_BYTES // 3)), None, id="Han"),
        pytest.param("ж" * (TEXT_MAX_BYTES // 2), None, id="one long word"),
        pytest.param("🎉" * (TEXT_MAX_BYTES // 4), None, id="emoji"),
    ],
)
async def test_the_largest_posts_are_found_by_their_beginning(
    storage: Storage, text: str, last_found: str | None
) -> None:
    alice = a_user()
    post = a_post(alice, text)
    await given(storage, alice, post)

    beginning = text[:10].partition(" ")[0] if text[0] != "ж" else text
    if len(beginning) <= 200:
        assert await found_by(storage, beginning) == [post.id]
    if last_found is not None:
        assert await found_by(storage, last_found) == [post.id]
        assert await found_by(storage, "w20000") == []
