"""The animation of memory as a person sees it, and how many frames a second the browser draws."""

import pytest
from playwright.sync_api import expect

from tests.browser.driving import ERRORS, START_MS, complaints_of, open_notebook, run_all, save

pytestmark = pytest.mark.browser

NOTEBOOK = "02-rounds-and-convergence.ipynb"
PLAYER = ".migkit-player"
CELLS = 65_536
LEAST_FRAMES_PER_S = 30.0
LEAST_OF_BARE = 0.7  # where the machine is too busy for that even to put ready images onto two canvases
WATCHED_MS = 3000
# Each canvas remembers when it was drawn.
WATCH = """() => {
  window.drawn = new Map();
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (...given) {
    window.drawn.set(this.canvas, [...(window.drawn.get(this.canvas) ?? []), performance.now()]);
    return put.apply(this, given);
  };
}"""
FRAMES_PER_S = """() => [...window.drawn.values()].map(
    (times) => (1000 * (times.length - 1)) / (times[times.length - 1] - times[0]))"""
# The reference: two canvases as large, on which ready images are put in turn.
BARE = """async (ms) => {
  const box = document.createElement("div");
  box.style.cssText = "position:fixed;left:100px;top:300px;z-index:99;display:flex;gap:24px";
  const width = document.querySelector(".migkit-player canvas").getBoundingClientRect().width;
  const contexts = [0, 1].map(() => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 256, height: 256 });
    canvas.style.cssText = `width:${width}px;image-rendering:pixelated`;
    box.append(canvas);
    return canvas.getContext("2d");
  });
  const images = [0, 255].map((grey) => new ImageData(new Uint8ClampedArray(4 * 65536).map(
    (_, at) => (at % 4 === 3 ? 255 : (at >> 2) % 3 ? grey : 128)), 256, 256));
  document.body.append(box);
  const begun = performance.now();
  let frames = 0, now = begun;
  while (now - begun < ms) {
    now = await new Promise(requestAnimationFrame);
    contexts.forEach((context) => context.putImageData(images[frames % 2], 0, 0));
    frames += 1;
  }
  box.remove();
  return (1000 * frames) / (now - begun);
}"""
COLOURS = """(canvas) => {
  const { width, height } = canvas, colours = new Map();
  for (const pixel of new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer))
    colours.set(pixel, (colours.get(pixel) ?? 0) + 1);
  return [width * height, ...colours.values()];
}"""

OUTSIDE = """(root) => [root, ...root.querySelectorAll("*")].filter(
    (element) => element.getBoundingClientRect().right > innerWidth).length"""
APART = """(root) => {
  const [left, right] = [...root.querySelectorAll("figure")].map((figure) => figure.getBoundingClientRect());
  return Math.min(left.width, right.width, right.left - left.right);
}"""


@pytest.fixture
def player(page, lab):
    complaints = complaints_of(page, lab)
    open_notebook(page, lab, NOTEBOOK)
    run_all(page)
    expect(page.locator(f"{PLAYER} canvas")).to_have_count(2, timeout=START_MS)
    expect(page.locator(ERRORS)).to_have_count(0)
    yield page.locator(PLAYER)
    assert complaints == []


def colours(player):
    """Return for each canvas how many cells it has and, in order of size, how many of each colour."""
    found = [player.locator("canvas").nth(at).evaluate(COLOURS) for at in range(2)]
    return [(cells, sorted(counts, reverse=True)) for cells, *counts in found]


def clock(player):
    return player.locator("output").inner_text()


def speed(player, label):
    player.locator("select").select_option(label=label)


def test_every_page_is_drawn_at_thirty_frames_a_second(page, player, record_property):
    assert colours(player) == [(CELLS, [CELLS])] * 2, "all pages are to be sent"
    page.set_viewport_size({"width": 1280, "height": 1000})  # a screen, not a whole notebook
    player.scroll_into_view_if_needed()
    bare = page.evaluate(BARE, WATCHED_MS)
    page.evaluate(WATCH)
    speed(player, "0.5 × real time")  # 80 frames a second of the film
    player.get_by_role("button", name="play the film").click()
    page.wait_for_timeout(WATCHED_MS)  # it plays for longer than that
    player.get_by_role("button", name="pause the film").click()
    found = page.evaluate(FRAMES_PER_S)
    bare = (bare + page.evaluate(BARE, WATCHED_MS)) / 2
    record_property("frames_per_s", found)
    record_property("bare_frames_per_s", bare)
    drawn = " and ".join(f"{one:.0f}" for one in found)
    print(f"two canvases of {CELLS} pages: {drawn} frames a second; ready images on as large ones: {bare:.0f}")
    assert len(found) == 2
    assert min(found) >= min(LEAST_FRAMES_PER_S, LEAST_OF_BARE * bare)
    assert all(len(counts) > 2 and sum(counts) == cells == CELLS for cells, counts in colours(player))


def test_keys_move_the_clock_and_stay_in_the_player(page, player):
    active = "() => jupyterapp.shell.currentWidget.content.activeCellIndex"
    scrub = player.get_by_role("slider", name="time since the request")
    scrub.focus()
    before, cell = colours(player), page.evaluate(active)
    for key in ("ArrowRight", "PageUp", "ArrowDown", "ArrowUp"):
        said = clock(player)
        scrub.press(key)
        expect(player.locator("output")).not_to_have_text(said)
    assert colours(player) != before
    assert page.evaluate(active) == cell
    assert clock(player) in scrub.get_attribute("aria-valuetext")
    assert "sent" in player.locator("canvas").first.get_attribute("aria-label")


def test_forth_and_back_shows_the_same_picture(player):
    forth, back = (
        player.get_by_role("button", name=f"to the {name}") for name in ("next bitmap", "bitmap sync before")
    )
    for _ in range(3):
        forth.click()
    there = clock(player), colours(player)
    forth.click()
    assert colours(player) != there[1]
    back.click()
    assert (clock(player), colours(player)) == there


def test_a_reload_keeps_the_clock_and_the_picture(page, lab, player):
    speed(player, "0.1 × real time")
    scrub = player.get_by_role("slider", name="time since the request")
    scrub.focus()
    for _ in range(4):
        scrub.press("PageUp")
    there = clock(player), colours(player)
    save(page)
    open_notebook(page, lab, NOTEBOOK)
    expect(player.locator("canvas")).to_have_count(2, timeout=START_MS)
    expect(player.locator("output")).to_have_text(there[0])
    assert colours(player) == there[1]
    assert player.locator("select").evaluate("list => list.selectedOptions[0].textContent") == "0.1 × real time"


def test_a_moved_slider_makes_another_film(page, player):
    before = player.locator("canvas").first.element_handle()
    page.locator(f".migkit-panel:has({PLAYER}) .noUi-handle").nth(1).press("ArrowRight")
    page.wait_for_function("canvas => !canvas.isConnected", arg=before, timeout=START_MS)
    expect(player.locator("canvas")).to_have_count(2)


@pytest.mark.parametrize(
    ("width", "theme"), [(800, "JupyterLab Dark"), (1280, "JupyterLab Light"), (1920, "JupyterLab Dark")]
)
def test_it_fits_and_can_be_read(page, player, width, theme):
    page.evaluate(f"() => jupyterapp.commands.execute('apputils:change-theme', {{ theme: '{theme}' }})")
    expect(page.locator(f"body[data-jp-theme-light='{str('Light' in theme).lower()}']")).to_be_attached()
    page.set_viewport_size({"width": width, "height": 3000})
    assert player.evaluate(OUTSIDE) == 0
    assert player.evaluate(APART) > 0
    ink = player.evaluate("root => getComputedStyle(root).color.match(/[0-9.]+/g).slice(0, 3).map(Number)")
    assert (sum(ink) / 3 < 100) == ("Light" in theme)
