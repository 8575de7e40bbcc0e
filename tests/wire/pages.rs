//! The pages in a real browser: a process is started and its result seen, without a script, by keyboard.
use anyhow::{Context, Result};
use end_to_end::{
    browser::{Browser, Relay},
    stand,
};

/// What would keep people from reading or using a page. Contrast by WCAG 2.2, success criterion 1.4.3.
const PROBLEMS: &str = r#"(() => {
  const problems = [];
  const one = (what, selector) => {
    const found = document.querySelectorAll(selector).length;
    if (found !== 1) problems.push(`${found} × ${what}`);
  };
  one('h1', 'h1'); one('main', 'main'); one('header', 'body > header');
  if (!document.documentElement.lang) problems.push('no language');
  if (!document.title) problems.push('no title');
  for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    if (!field.labels.length) problems.push(`no label: ${field.name}`);
  for (const inside of document.querySelectorAll('script, [style], [onclick], style'))
    problems.push(`inline ${inside.tagName}`);
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  if (new Set(ids).size !== ids.length) problems.push('an id twice');
  if (document.documentElement.scrollWidth > innerWidth) problems.push(`wider than the window: ${document.documentElement.scrollWidth}`);
  const parse = colour => { const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number); return {r, g, b, a}; };
  const luminance = ({r, g, b}) => [r, g, b].map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.a > 0) return colour;
    }
    return {r: 255, g: 255, b: 255};
  };
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const [one, other] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)}: ${element.tagName} ${element.textContent.trim().slice(0, 30)}`);
  }
  return problems;
})()"#;

/// Widths, heights and colour schemes under which every page must hold.
const LOOKS: [(&str, u32, u32, &str); 4] = [
    ("light", 1280, 900, "light"),
    ("dark", 1280, 900, "dark"),
    ("phone", 375, 800, "light"),
    ("phone-dark", 375, 800, "dark"),
];

async fn looks_right(browser: &mut Browser, page: &str) -> Result<()> {
    // With its style sheet, not just its first elements.
    browser.until("the whole page", "document.readyState === 'complete'").await?;
    for (name, width, height, scheme) in LOOKS {
        browser.look(width, height, scheme).await?;
        browser.picture(&format!("{page}-{name}")).await?;
        let problems = browser.evaluate(PROBLEMS).await?;
        assert_eq!(problems, serde_json::json!([]), "{page}, {name}");
    }
    browser.look(1280, 900, "light").await
}

/// Tabs to what an expression is true for, and presses Enter there.
async fn tab_to(browser: &mut Browser, what: &str, is_there: &str) -> Result<()> {
    const MOST: usize = 200;
    for _ in 0..MOST {
        browser.press("Tab", 9, "").await?;
        if browser.evaluate(&format!("(element => {is_there})(document.activeElement)")).await? == true {
            return browser.press("Enter", 13, "\r").await;
        }
    }
    anyhow::bail!("{what} is not reached by the Tab key")
}

#[tokio::test]
async fn a_process_is_started_and_its_result_seen_in_a_browser() -> Result<()> {
    let stand = stand(2, 1).await?;
    let site = &stand.sites[0];
    let base = &site.base_url;
    let port = base.split(':').nth(2).and_then(|rest| rest.split('/').next()).context("a port")?;
    let relay = Relay::start(&stand.authority.certificate, &site.identity, port.parse()?).await?;
    let mut browser = Browser::start(&relay).await?;
    browser.call("Emulation.setScriptExecutionDisabled", serde_json::json!({"value": true})).await?;

    browser.open(&format!("{base}/")).await?;
    let text = browser.text().await?;
    for expected in ["Start a process", "startPing, version", "This site", "Waiting for an answer"] {
        assert!(text.contains(expected), "the start page lacks {expected:?}: {text}");
    }
    looks_right(&mut browser, "start").await?;

    tab_to(&mut browser, "the draft of ping", "element.closest('li')?.innerText.includes('startPing,')")
        .await?;
    browser.until("the form", "!!document.querySelector('form[action*=\"/form/Task/\"] button')").await?;
    looks_right(&mut browser, "draft").await?;
    let draft = browser.evaluate("location.pathname").await?;

    let button = "element.closest('form[action*=\"/form/Task/\"]') && element.tagName === 'BUTTON'";
    tab_to(&mut browser, "the button that starts", button).await?;
    let started = format!("location.pathname.includes('/Task/') && location.pathname !== {draft}");
    browser.until("the new Task", &started).await?;
    // A person would look again, too.
    let looked_again = "(() => { if (document.body.innerText.includes('pong-received')) return true; \
        if (document.readyState === 'complete') document.querySelector('a.button')?.click(); return false; })()";
    browser.until("the result", looked_again).await?;
    let text = browser.text().await?;
    for expected in ["completed", "Outputs", "site-b.test", "pong-received"] {
        assert!(text.contains(expected), "the result lacks {expected:?}: {text}");
    }
    browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)").await?;
    looks_right(&mut browser, "result").await?;

    browser.open(&format!("{base}/Task?_sort=-_lastUpdated")).await?;
    assert!(browser.text().await?.contains("completed"));
    looks_right(&mut browser, "search").await?;
    browser.open(&format!("{base}/Task/00000000-0000-4000-8000-000000000000")).await?;
    looks_right(&mut browser, "not-found").await?;
    // A status is no complaint of the page.
    browser.complaints.retain(|complaint| !complaint.contains("404"));
    assert_eq!(browser.complaints, Vec::<String>::new(), "the browser blocked or missed something");
    browser.close().await;
    Ok(())
}
