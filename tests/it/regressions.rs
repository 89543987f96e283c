//! What the fuzz targets check, without a fuzzer: the inputs that once broke something, the recorded vectors
//! that the fuzzer starts from, and some made up on the spot.

#[path = "../fuzz/checks/mod.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets use the same files as a library")]
mod checks;

use std::path::Path;

use checks::TARGETS;
use vault_injector::base::json::Json;

#[test]
fn what_once_broke_stays_fixed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (_, check) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
        for input in std::fs::read_dir(folder.join(&name)).unwrap() {
            let path = input.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            let held = std::panic::catch_unwind(|| check(&input));
            assert!(held.is_ok(), "{}: see above", path.display());
            count += 1;
        }
    }
    assert!(count > 0, "looked in the wrong place");
}

#[test]
fn recorded_reviews_and_templates_hold() {
    for line in include_str!("../golden/injector.jsonl").lines() {
        let vector = Json::parse(line.as_bytes()).unwrap();
        let review = vector.get("request").unwrap();
        checks::review::check(review.to_text().as_bytes());
        if let Some(pod) = review.get("request").and_then(|request| request.get("object")) {
            checks::review::check(pod.to_text().as_bytes());
        }
    }
    for line in include_str!("../golden/template.jsonl").lines().skip(1).step_by(5) {
        let vector = Json::parse(line.as_bytes()).unwrap();
        let text = vector.get("t").and_then(Json::as_str).unwrap();
        checks::template::check(format!("\0{text}").as_bytes());
    }
}

#[test]
fn any_replies_hold() {
    let texts = [
        r#"{"data":{"k":"v","n":1.0},"warnings":["w"],"auth":{"client_token":"t","accessor":"a"}}"#,
        r#"{"errors":["bad request: {\"token\":\"\"}","x"]}"#,
        "<html><body>X-Vault-Token: </body></html>",
        "[[[{\"a\":[\"\\u00e9\\ud83d\\ude00\"]}]]]",
    ];
    for text in texts {
        for status in 0..8 {
            for echoes in 0..3 {
                for cut in 0..text.len() {
                    let mut input = vec![status, 0, echoes];
                    input.extend_from_slice(text.as_bytes().get(..cut).unwrap());
                    input.extend_from_slice(text.as_bytes().get(cut.saturating_add(1)..).unwrap());
                    checks::replies::check(&input);
                }
            }
        }
    }
}

#[test]
fn any_annotations_hold() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[5]
    };
    for round in 0..400 {
        let input: Vec<u8> = (0..8 + round % 120).map(|_| byte()).collect();
        checks::annotations::check(&input);
    }
}
