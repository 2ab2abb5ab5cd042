"""The console in a real Chromium, before a running gateway, a real bus and a log that real machines wrote."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from libs.common.messages import (
    AlertRaised,
    FeedMarks,
    FlattenCommanded,
    Mark,
    OperatorCommanded,
    OrderApproved,
    OrderSubmitting,
    TradingStateChanged,
)
from libs.desk.story_target import resolve
from libs.desk.tokens import TokenStore, token_file
from libs.desk.view import DeskView
from services.gateway.pages import FOLDER
from tests.e2e.console_stand import ConsoleStand, browser_path, console_on
from tests.recorded_log import message_of, recorded_log

SEED = 3
"""Two positions with their stops."""
HOSTILE = "<img src=x onerror=alert(1)>"
ANSWER_S = "0.4"
BYTES_MAX = 120_000

expect.set_options(timeout=8000)
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(browser_path() is None, reason="there is no Chromium on this machine"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsoleStand]:
    """One stack and one browser for all of this file; every test has a page of its own."""
    home = tmp_path_factory.mktemp("console") / "home"
    async with console_on(home, recorded_log(SEED), BULKHEAD_GATEWAY_COMMAND_WAIT_S=ANSWER_S) as running:
        yield running


def shown(stand: ConsoleStand) -> dict[str, Any]:
    """What the log says, folded here."""
    view = DeskView()
    for entry in stand.log:
        view.take(entry, message_of(entry))
    sections: dict[str, Any] = json.loads(msgspec.json.encode(view.sections()))
    return sections


async def cells(page: Page, body: str) -> list[list[str]]:
    """The texts of a table."""
    rows = await page.locator(f"#{body} tr").all()
    return [[text.strip() for text in await row.locator("td").all_inner_texts()] for row in rows]


async def until(found: Callable[[], Awaitable[Any]], seconds: float = 8) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := await found()):
        assert time.monotonic() < end, f"waited {seconds} s"
        await asyncio.sleep(0.05)
    return answer


def alert(text: str, code: str = "A_DRILL", instrument: str = "") -> AlertRaised:
    """Something that the gate tells people."""
    now = time.time_ns()
    return AlertRaised(
        id=f"{now:032x}",
        ts_event=now,
        ts_init=now,
        correlation_id=f"{now:032x}",
        producer="risk",
        code=code,
        severity="page",
        text=text,
        instrument=instrument,
    )


async def fill_in(page: Page, word: str, reason: str) -> None:
    """Everything the dialog wants."""
    await page.locator(f'#commands [data-word="{word}"]').click()
    await page.locator("#order-reason").fill(reason)
    await page.locator("#order-word").fill(word)


async def commands_of(stand: ConsoleStand, reason: str) -> list[Any]:
    """The orders in the log that give this reason."""
    return [each for each in await stand.gateway.told() if getattr(each, "reason", None) == reason]


async def test_the_console_is_small_and_needs_nobody_else(stand: ConsoleStand) -> None:
    """Under 120 kB in all, nothing from another host, no script or style inside a page, no text read as markup."""
    files = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert sum(len(text.encode()) for text in files.values()) < BYTES_MAX
    for name, text in files.items():
        assert not re.findall(r"https?://(?!www\.w3\.org/)", text), name
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), name
        assert text.count("\n") <= 400, name
    assert not re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", files["index.html"])
    async with stand.page() as page:
        urls = await page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
        assert urls
        assert all(url.startswith(stand.gateway.url) for url in urls)


async def test_it_shows_the_figures_of_the_log(stand: ConsoleStand) -> None:
    """Positions, fills, signals and equity stand there digit by digit as the log has them."""
    said = shown(stand)
    async with stand.page() as page:
        fills = [[each["instrument"], each["side"], each["role"], each["qty"], each["px"]] for each in said["fills"]]
        assert [row[1:6] for row in await cells(page, "fills-body")] == fills
        held = [
            [each[key] for key in ("instrument", "signed_qty", "avg_entry_px", "mark_px")] for each in said["positions"]
        ]
        rows = await cells(page, "positions-body")
        assert [row[:4] for row in rows] == held
        assert [row[6] for row in rows] == [each["stop_px"] for each in said["positions"]]
        assert all(row[8].startswith("covered") for row in rows)
        assert await page.locator('[data-tile="equity"] dd').first.inner_text() == said["head"]["books"]["equity"]
        assert "each has its stop" in await page.locator('[data-tile="positions"]').inner_text()
        assert len(await cells(page, "orders-body")) == len(said["orders"])
        assert await page.locator("#signals-body a").count() == len(said["signals"])
        assert page.faults == []  # type: ignore[attr-defined]


async def test_a_fill_leads_to_its_story_and_back(stand: ConsoleStand) -> None:
    """The story has the verdict with each of its checks; "back" closes it, and the focus is where it was."""
    approved = next(each for each in map(message_of, stand.log) if isinstance(each, OrderApproved))
    async with stand.page() as page:
        link = page.locator("#fills-body tr", has_text=approved.instrument).locator("a").first
        await link.click()
        verdict = page.locator('#trace-events li[data-role="verdict"]').first
        text = await verdict.inner_text()
        missing = [check.code for check in approved.checks if check.code not in text]
        assert approved.checks
        assert missing == []
        assert "#trace=" in page.url
        await page.go_back()
        await expect(page.locator("#trace")).to_be_hidden()
        await expect(link).to_be_focused()
        await page.goto(f"{stand.gateway.url}/#trace=nothing-is-called-so")
        await expect(page.locator("#trace-about")).to_have_text("nothing in this log is called so")
        await page.keyboard.press("Escape")
        await expect(page.locator("#trace")).to_be_hidden()
        await page.goto(f"{stand.gateway.url}/#trace=1")
        choices = page.locator("#trace-events a")
        assert await until(choices.all_inner_texts) == [each.key for each in resolve(stand.log, "1")]
        await choices.first.click()
        await expect(page.locator('#trace-events [data-relation="named"]').first).to_be_visible()


async def test_lists_are_searched_and_charts_are_tables(stand: ConsoleStand) -> None:
    """The log by text and by writer, prices by a part of a name; a chart's figures are a table for who asks."""
    said = shown(stand)
    async with stand.page() as page:
        await page.locator("#log-filter").fill("stop sell")
        await page.locator("#log-producer").select_option("exec")
        wanted = [each["text"] for each in said["log"] if each["producer"] == "exec" and "STOP SELL" in each["text"]]
        assert wanted
        await expect(page.locator("#log-sum")).to_contain_text(f"{len(wanted)} of the newest")
        assert [row[3] for row in await cells(page, "log-body")] == wanted
        await page.locator("#prices-filter").fill("eth")
        await expect(page.locator("#price-charts article")).to_have_count(1)
        await page.locator("#chart-value summary").click()
        rows = await page.locator("#chart-value tbody tr").all_inner_texts()
        assert len(rows) == len(said["curve"]) + 1
        assert rows[-1].endswith(f"{said['curve'][0][1]:.2f}")


async def test_what_happens_is_on_the_screen_within_a_second(stand: ConsoleStand) -> None:
    """From the append of an event to its text in the browser; and how long the first paint takes."""
    async with stand.page() as page:
        took = []
        for turn in range(3):
            words = f"the drill number {turn}"
            began = time.monotonic()
            await stand.writers.say(alert(words))
            await page.wait_for_function(
                "(words) => document.querySelector('#alerts-body').textContent.includes(words)", arg=words
            )
            took.append(time.monotonic() - began)
        await expect(page.locator("#announcer")).to_contain_text("the drill number 2")
        kept = [row[3] for row in await cells(page, "log-body")][4:]  # three drills, and that the gateway has started
        assert kept == [" ".join(each["text"].split()) for each in shown(stand)["log"]]
        paints = (
            "performance.getEntriesByType('paint').find((each) => each.name === 'first-contentful-paint').startTime"
        )
        painted = await page.evaluate(paints)
        print(f"live update {sorted(took)[1]:.3f} s (worst {max(took):.3f} s); first contentful paint {painted:.0f} ms")
        assert sorted(took)[1] < 1.5, took
        assert painted < 3000


async def test_hostile_text_stays_text(stand: ConsoleStand) -> None:
    """A name, an alert and a reason that are markup are shown as they are written, and nothing runs."""
    now = time.time_ns()
    mark = Mark(instrument=HOSTILE, bid_px=1.0, ask_px=1.1, last_px=1.0, protective_px=1.0, trust="TRUSTED", ts=now)
    marks = FeedMarks(
        id=f"{now:032x}", ts_event=now, ts_init=now, producer="feed", venue="sim", as_of=now, marks=(mark,)
    )
    await stand.writers.say(marks, alert(f"{HOSTILE} has moved", code=HOSTILE, instrument=HOSTILE))
    async with stand.page() as page:
        await expect(page.locator("#price-charts h3", has_text=HOSTILE)).to_be_visible()
        row = page.locator("#alerts-body tr").first
        await expect(row).to_contain_text(f"{HOSTILE} has moved")
        await row.locator("a").first.click()
        await expect(page.locator("#trace-events .headline").first).to_contain_text(HOSTILE)
        await page.keyboard.press("Escape")
        await fill_in(page, "REDUCE", HOSTILE)
        await page.locator("#order-send").click()
        await expect(page.locator("#order-outcome")).to_contain_text("NOBODY HAS ANSWERED YET")
        await expect(page.locator("#log-body")).to_contain_text(HOSTILE)
        await page.goto(f"{stand.gateway.url}/#trace={HOSTILE}")
        await expect(page.locator("#trace-h")).to_have_text(f"Story of {HOSTILE}")
        assert await page.locator("img").count() == 1
        assert page.faults == []  # type: ignore[attr-defined]


async def test_a_halt_wants_its_word_and_is_said_once(stand: ConsoleStand) -> None:
    """Nothing is sent without the reason and the word; a double click is one order; that nobody has answered is said."""
    async with stand.page() as page:
        send = page.locator("#order-send")
        await page.locator('#commands [data-word="HALT"]').click()
        await expect(page.locator("#order-what")).to_contain_text("2 positions")
        await page.locator("#order-word").fill("HALT")
        await expect(send).to_be_disabled()
        await page.locator("#order-reason").fill("a double click")
        for wrong in ("", "halt", "HAL", "RESUME"):
            await page.locator("#order-word").fill(wrong)
            await expect(send).to_be_disabled()
        await page.locator("#order-reason").press("Enter")
        await page.locator("#order-word").fill("HALT")
        await send.dblclick()
        await expect(page.locator("#order-outcome")).to_contain_text("NOBODY HAS ANSWERED YET")
        await send.click()
        await expect(page.locator("#order-outcome")).to_contain_text("NOBODY HAS ANSWERED YET")
        said = await commands_of(stand, "a double click")
        assert [type(each) for each in said] == [OperatorCommanded]
        assert said[0].command == "HALT"
        assert said[0].author.startswith("operate-man")


async def test_the_effect_of_an_order_is_shown(stand: ConsoleStand) -> None:
    """When the gate acts on it, the dialog says what it did and the bar says how trading stands now."""

    async def act() -> None:
        said = await until(lambda: commands_of(stand, "to see it act"))
        now = time.time_ns()
        await stand.writers.say(
            TradingStateChanged(
                id=f"{now:032x}",
                ts_event=now,
                ts_init=now,
                correlation_id=said[0].id,
                causation_id=said[0].id,
                producer="risk",
                state="HALTED",
                previous="ACTIVE",
                reason="to see it act",
                author="operate-man",
            )
        )

    async with stand.page() as page:
        gate = asyncio.create_task(act())
        await fill_in(page, "FLATTEN", "to see it act")
        await page.locator("#order-send").click()
        await gate
        outcome = page.locator("#order-outcome")
        await expect(outcome).to_contain_text(re.compile("Done|NOBODY"))
        if "NOBODY" in await outcome.inner_text():  # the gate was slower than one answer waits
            await page.locator("#order-send").click()
        await expect(outcome).to_contain_text("Done: trading is HALTED now, it was ACTIVE")
        await page.keyboard.press("Escape")
        await expect(page.locator('[data-tile="state"]')).to_contain_text("HALTED")
        assert [type(each) for each in await commands_of(stand, "to see it act")] == [FlattenCommanded]


async def test_an_order_is_asked_again_when_what_it_was_about_has_changed(stand: ConsoleStand) -> None:
    """Whoever resumes after one halt must not undo another that he has not seen; he is shown it, types the word again, and it is one order."""
    async with stand.page() as page:
        what, outcome = page.locator("#order-what"), page.locator("#order-outcome")
        await fill_in(page, "RESUME", "the first halt is over")
        now = time.time_ns()
        halted = TradingStateChanged(
            id=f"{now:032x}",
            ts_event=now,
            ts_init=now,
            correlation_id=f"{now:032x}",
            producer="risk",
            state="HALTED",
            previous="ACTIVE",
            reason="the drawdown",
            author="",
        )
        await stand.writers.say(halted)
        await expect(page.locator('[data-tile="state"]')).to_contain_text("the drawdown")
        await expect(what).not_to_contain_text("the drawdown")
        await page.locator("#order-send").click()
        await expect(outcome).to_contain_text("Meanwhile it has changed")
        await expect(what).to_contain_text("the drawdown")
        await expect(page.locator("#order-send")).to_be_disabled()
        assert await commands_of(stand, "the first halt is over") == []
        await page.locator("#order-word").fill("RESUME")
        await page.locator("#order-send").click()
        await expect(outcome).to_contain_text("NOBODY HAS ANSWERED YET")
        await page.locator("#order-send").click()
        await expect(outcome).to_contain_text("NOBODY HAS ANSWERED YET")
        assert len(await commands_of(stand, "the first halt is over")) == 1


async def test_a_halt_needs_no_mouse(stand: ConsoleStand) -> None:
    """With Tab, letters and Enter alone, and without a detour through the page."""
    async with stand.page() as page:
        for _ in range(6):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.dataset.word") == "HALT":
                break
        await page.keyboard.press("Enter")
        await page.keyboard.type("by keys alone")
        await page.keyboard.press("Tab")
        await page.keyboard.type("HALT")
        await page.keyboard.press("Enter")
        assert await until(lambda: commands_of(stand, "by keys alone"))
        await expect(page.locator("#order-close")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#order-dialog")).to_be_hidden()
        await page.locator("#chart-value .plot").focus()
        await page.keyboard.press("Home")
        first = f"{shown(stand)['curve'][0][1]:.2f}"
        await expect(page.locator("#chart-value output")).to_contain_text(first)


async def test_who_may_only_look_is_offered_no_orders(stand: ConsoleStand) -> None:
    """A token for reading sees everything, and no button."""
    async with stand.page("read") as page:
        await expect(page.locator("#read-only")).to_be_visible()
        await expect(page.locator("#commands")).to_be_hidden()
        assert await page.locator("#orders-body button").count() == 0
        assert await page.locator("#fills-body tr").count() == len(shown(stand)["fills"])


async def test_the_token_leaves_the_address_and_its_end_leads_to_the_form(stand: ConsoleStand) -> None:
    """It is in no address and no history; a wrong one is refused in words; a revoked one ends what is shown."""
    token_id, text = stand.gateway.token("read")
    async with stand.page() as page:
        assert "token" not in page.url
        assert await page.evaluate("history.length") <= 2
        await page.locator("#sign-out").click()
        await expect(page.locator("#login")).to_contain_text("bulkhead token create")
        await expect(page.locator("#main")).to_be_hidden()
        await page.reload()
        await page.locator("#login-token").fill("bht_wrong")
        await page.keyboard.press("Enter")
        await expect(page.locator("#login-refused")).to_have_text("this token is not valid")
        await page.locator("#login-token").fill(text)
        await page.keyboard.press("Enter")
        await expect(page.locator("#fills-body a").first).to_be_visible()
        TokenStore(token_file(stand.gateway.home)).revoke(token_id, int(time.time()))
        await expect(page.locator("#login")).to_be_visible()
        await expect(page.locator("#main")).to_be_hidden()
        assert text not in await page.content()


async def test_it_fits_a_phone(stand: ConsoleStand) -> None:
    """At 360 px nothing sticks out, and the buttons are large enough for a thumb."""
    async with stand.page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as page:
        sticking = """() => [...document.querySelectorAll('body *')].filter((node) => {
            const box = node.getBoundingClientRect();
            return box.width && (box.right > 361 || box.left < -1) && !node.closest('.scroll, nav, .skip, .unseen, svg');
        }).map((node) => node.outerHTML.slice(0, 120))"""
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await page.evaluate(sticking) == []
        for button in await page.locator("#commands button").all():
            box = await button.bounding_box()
            assert box is not None
            assert box["height"] >= 44
        await page.locator('#commands [data-word="HALT"]').tap()
        box = await page.locator("#order-dialog").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


PAIRS = (
    "h1", "#book", "[data-tile=state] dd", "[data-tile=feed] dd a", "[data-tile=equity] dt", "[data-tile=equity] dd a", "[data-tile=feed] dd",
    "[data-tile=drawdown] dd", "[data-tile=drawdown] .note", "nav a", "#portfolio-sum dt", "#portfolio-sum dd", "#positions th", "#positions-body td", "#positions-body a",
    "#positions-body [data-tone]", "#log-body td", "[data-word=HALT]", "[data-word=REDUCE]", "#theme", "#orders-sum", "#price-charts p", "#alerts-body [data-tone=bad]",
)  # fmt: skip
COLOURS = """(selector) => [...document.querySelectorAll(selector)].slice(0, 4).map((node) => {
    let ground = node, colour = 'rgba(0, 0, 0, 0)';
    while (ground && colour === 'rgba(0, 0, 0, 0)') {
        colour = getComputedStyle(ground).backgroundColor;
        ground = ground.parentElement;
    }
    return [getComputedStyle(node).color, colour];
})"""


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


async def test_findings_are_drawn_as_the_gateway_tells_them(stand: ConsoleStand) -> None:
    """All that /health says and what woke somebody, the worst first, and the first of them in the bar: the page knows no rule of its own."""
    await stand.writers.say(alert("something was found", code="A_FINDING"))
    async with stand.page() as page:
        items = page.locator("#findings li")
        await expect(items.filter(has_text="A_FINDING: something was found")).to_have_attribute("data-tone", "bad")
        reasons = set((await stand.gateway.ask("/api/v1/health", status=None))["reasons"])
        assert reasons
        await until(lambda: _all_stand_in(items, reasons))
        tones = await items.evaluate_all("(nodes) => nodes.map((each) => each.dataset.tone)")
        assert tones == sorted(tones)
        await expect(page.locator('[data-tile="worst"] dd').first).to_have_text(await items.first.inner_text())


async def _all_stand_in(items: Locator, texts: set[str]) -> bool:
    return texts <= set(await items.all_inner_texts())


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_in_light_and_dark(stand: ConsoleStand, scheme: str) -> None:
    """Every kind of text has at least 4.5 to 1, in what the system prefers and in what the switch says, fresh or stale."""
    assert contrast("rgb(255, 255, 255)", "rgb(0, 0, 0)") == pytest.approx(21)
    await stand.writers.say(alert("something to wake people for"))
    async with stand.page(color_scheme=scheme) as page:
        await page.locator("#alerts-body [data-tone=bad]").first.wait_for()
        for turn in ("preferred", "switched", "stale"):
            ratios = {each: await page.evaluate(COLOURS, each) for each in PAIRS}
            assert [each for each, found in ratios.items() if not found] == []
            weak = {each: pair for each, found in ratios.items() for pair in found if contrast(*pair) < 4.5}
            assert weak == {}, turn
            if turn == "preferred":
                await page.locator("#theme").click()
            else:
                await page.evaluate("document.body.classList.add('is-stale')")


async def test_a_thousand_orders_are_counted_and_bounded(stand: ConsoleStand) -> None:
    """All are counted, the newest are listed, and the page paints and scrolls on."""
    now = time.time_ns()
    orders = [
        OrderSubmitting(
            id=f"{number:032x}", ts_event=now + number, ts_init=now + number, correlation_id=f"{number:032x}", producer="exec",
            cl_ord_id=f"{0xABC:016x}{number:016x}", intent_id=f"{number:032x}", role="ENTRY", instrument="BTC-USDT", side="BUY", ord_type="LIMIT",
            time_in_force="GTC", order_qty=Decimal("0.5"), limit_px=Decimal(90), stop_px=None, reduce_only=False, valid_until=now,
        )
        for number in range(1000)
    ]  # fmt: skip
    async with stand.page() as page:
        await stand.writers.say(*orders)
        await expect(page.locator("#orders-sum")).to_contain_text("the newest 50 of 1002", timeout=20_000)
        assert await page.locator("#orders-body tr").count() == 50
        frames = """() => new Promise((done) => {
            let count = 0, worst = 0, last = performance.now();
            const step = (now) => {
                worst = Math.max(worst, now - last);
                last = now;
                window.scrollBy(0, 90);
                if (++count < 40) requestAnimationFrame(step); else done(worst);
            };
            requestAnimationFrame(step);
        })"""
        worst = await page.evaluate(frames)
        print(f"worst frame while scrolling {worst:.0f} ms")
        assert worst < 1000
        await page.evaluate("scrollTo(0, 0)")
        row = page.locator("#orders-body tr").first
        wanted = await row.locator("a").first.get_attribute("aria-label")
        await row.locator("button").click()
        await page.locator("#order-reason").fill("one of a thousand")
        await page.locator("#order-word").fill("CANCEL")
        await page.locator("#order-send").click()
        said = await until(lambda: commands_of(stand, "one of a thousand"))
        assert said[0].cl_ord_id in str(wanted)


async def test_silence_is_said_and_survived(stand: ConsoleStand) -> None:
    """A gateway that stands still is called stale within six seconds, and its figures age; when another has come, they are live again."""
    async with stand.page() as page:
        await expect(page.locator("#stale")).to_be_hidden()
        stand.gateway.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        await page.wait_for_function("() => !document.querySelector('#stale').hidden")
        took = time.monotonic() - began
        await expect(page.locator("#stale")).to_contain_text("Stale since")
        print(f"stale after {took:.1f} s")
        assert took < 6.5
        assert await page.locator("body.is-stale").count() == 1
        age = page.locator('[data-tile="age"] dd').first
        await expect(age).not_to_have_text(await age.inner_text())
        stand.gateway.process.kill()
        await stand.gateway.process.wait()
        await fill_in(page, "HALT", "nobody is there")
        await expect(page.locator("#order-what")).to_contain_text("STALE")
        await page.locator("#order-send").click()
        await expect(page.locator("#order-outcome")).to_contain_text("Nobody knows whether the order has arrived")
        await stand.gateway.http.close()
        await stand.gateway.start()
        await expect(page.locator("#stale")).to_be_hidden(timeout=15_000)
        await page.locator("#order-send").click()
        await expect(page.locator("#order-outcome")).to_contain_text("NOBODY HAS ANSWERED YET")
        assert len(await commands_of(stand, "nobody is there")) == 1


async def test_an_outage_of_the_bus_is_said_and_survived(stand: ConsoleStand) -> None:
    """The gateway still speaks, but of what it has known: that is as stale as silence."""
    async with stand.page() as page:
        stand.nats.kill()
        began = time.monotonic()
        await expect(page.locator("#stale")).to_contain_text("DISCONNECTED")
        took = time.monotonic() - began
        print(f"stale after {took:.1f} s")
        assert took < 6.5
        assert await page.locator("#fills-body tr").count() == len(shown(stand)["fills"])
        await stand.nats.start(provisioned=False)
        await expect(page.locator("#stale")).to_be_hidden(timeout=15_000)
        await stand.gateway.live()
