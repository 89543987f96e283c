//! What is found in manifests, whatever their kind, and what is told of annotations at wrong places.

use super::*;

fn run(document: &str) -> (Json, Findings) {
    let config = InjectConfig { address: "http://v".into(), ..InjectConfig::default() };
    let mut json = Json::parse(document.as_bytes()).unwrap();
    let found = inject(&mut json, "default", &config);
    (json, found)
}

const TEMPLATE: &str = r#"{"metadata":{"annotations":{"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"r"}},"spec":{"containers":[{"name":"app"}]}}"#;

#[test]
fn whatever_has_a_pod_template_is_injected() {
    for (kind, spec, path) in [
        ("Deployment", r#"{"template":T}"#, "spec.template"),
        ("Rollout", r#"{"template":T}"#, "spec.template"),
        ("DeploymentConfig", r#"{"template":T,"test":false}"#, "spec.template"),
        ("Service", r#"{"template":T,"traffic":[{"percent":100}]}"#, "spec.template"),
        ("CronJob", r#"{"jobTemplate":{"spec":{"template":T}}}"#, "spec.jobTemplate.spec.template"),
        ("ScaledJob", r#"{"jobTargetRef":{"template":T}}"#, "spec.jobTargetRef.template"),
        (
            "JobSet",
            r#"{"replicatedJobs":[{"name":"x","template":{"spec":{"template":T}}}]}"#,
            "spec.replicatedJobs[0].template.spec.template",
        ),
        ("Flink", r#"{"jobManager":{"podTemplate":T}}"#, "spec.jobManager.podTemplate"),
        (
            "LeaderWorkerSet",
            r#"{"leaderWorkerTemplate":{"workerTemplate":T}}"#,
            "spec.leaderWorkerTemplate.workerTemplate",
        ),
        (
            "TFJob",
            r#"{"tfReplicaSpecs":{"Worker":{"template":T}}}"#,
            "spec.tfReplicaSpecs.Worker.template",
        ),
        ("Sets", r#"{"podTemplates":[T]}"#, "spec.podTemplates[0]"),
        (
            "Object",
            r#"{"forProvider":{"manifest":{"apiVersion":"v1","kind":"Pod","metadata":M,"spec":S}}}"#,
            "spec.forProvider.manifest",
        ),
    ] {
        let (metadata, spec_of) = TEMPLATE.split_once(r#","spec":"#).unwrap();
        let spec = spec
            .replace(":T", &format!(":{TEMPLATE}"))
            .replace("[T", &format!("[{TEMPLATE}"))
            .replace(":M", &format!(":{}", metadata.strip_prefix(r#"{"metadata":"#).unwrap()))
            .replace(":S", &format!(":{}", spec_of.strip_suffix('}').unwrap()));
        let text = format!(
            r#"{{"kind":"{kind}","metadata":{{"name":"x","namespace":"n"}},"spec":{spec}}}"#
        );
        let (json, found) = run(&text);
        let [pod] = &found.pods[..] else { panic!("{kind}: {found:?}") };
        assert_eq!(pod.to_string(), format!("{kind} n/x"));
        assert_eq!(pod.path, path);
        assert_eq!(pod.outcome.verdict, Verdict::Inject, "{kind}: {}", pod.outcome.message);
        assert_eq!(found.strays, [], "{kind}");
        let text = json.to_text();
        assert!(text.contains("vault-agent-init") && !text.contains(STAND_IN), "{text}");
        assert!(!text.contains("kubernetes.io/serviceaccount\""), "{text}");
    }
}

#[test]
fn lists_hold_objects_with_and_without_kinds() {
    let job = format!(r#"{{"spec":{{"template":{TEMPLATE}}}}}"#);
    for (list, names) in [
        (format!(r#"{{"kind":"PodList","items":[{TEMPLATE},{TEMPLATE}]}}"#), &["Pod", "Pod"][..]),
        (format!(r#"{{"kind":"JobList","items":[{job}]}}"#), &["Job"]),
        (format!(r#"{{"kind":"List","items":[{{"kind":"Service"}},{TEMPLATE}]}}"#), &["object"]),
        (
            format!(
                r#"{{"kind":"List","items":[{{"kind":"List","items":[{{"kind":"Job","spec":{{"template":{TEMPLATE}}}}}]}}]}}"#
            ),
            &["Job"],
        ),
        (
            format!(
                r#"{{"kind":"ResourceList","functionConfig":{{}},"items":[{{"kind":"Job","spec":{{"template":{TEMPLATE}}}}}]}}"#
            ),
            &["Job"],
        ),
        (
            format!(
                r#"{{"kind":"Template","objects":[{{"kind":"Job","spec":{{"template":{TEMPLATE}}}}}]}}"#
            ),
            &["Job"],
        ),
        (format!(r#"[{{"kind":"Job","spec":{{"template":{TEMPLATE}}}}}]"#), &["Job"]),
    ] {
        let (_, found) = run(&list);
        let kinds: Vec<&str> = found.pods.iter().map(|pod| pod.kind.as_str()).collect();
        assert_eq!(kinds, names, "{list}");
        let all = found.pods.iter().all(|pod| pod.outcome.verdict == Verdict::Inject);
        assert!(all && found.strays.is_empty() && found.is_manifest, "{list}: {found:?}");
    }
    for text in ["[]", "1", "{}", r#"{"spec":{"template":{}}}"#] {
        assert!(!run(text).1.is_manifest, "{text}");
    }
    assert!(run(r#"{"kind":"List","items":[]}"#).1.is_manifest);
}

#[test]
fn what_looks_alike_and_is_no_pod_template_is_left_alone() {
    for text in [
        r#"{"kind":"ConfigMap"}"#.to_owned(),
        r#"{"kind":"Deployment","spec":null}"#.to_owned(),
        r#"{"kind":"Prometheus","spec":{"containers":[{"name":"x"}]}}"#.to_owned(),
        r#"{"kind":"Task","spec":{"podTemplate":{"nodeSelector":{}}}}"#.to_owned(),
        format!(r#"{{"kind":"X","status":{{"template":{TEMPLATE}}}}}"#),
        format!(r#"{{"kind":"X","spec":{{"elsewhere":{TEMPLATE}}}}}"#),
        format!(
            r#"{{"kind":"X","spec":{{"rules":[{{"validate":{{"pattern":{{"template":{TEMPLATE}}}}}}}]}}}}"#
        ),
        format!(
            r#"{{"kind":"X","data":{{"template":{}}}}}"#,
            TEMPLATE.replacen('{', r#"{"$patch":"replace","#, 1)
        ),
    ] {
        let (json, found) = run(&text);
        assert!(found.pods.is_empty(), "{text}: {found:?}");
        assert_eq!(json, Json::parse(text.as_bytes()).unwrap());
        assert_eq!(found.strays.is_empty(), !text.contains("vault.hashicorp.com"), "{text}");
    }
}

#[test]
fn annotations_at_a_wrong_place_are_told_with_the_right_one() {
    const KEY: &str = r#"{"vault.hashicorp.com/agent-inject":"true"}"#;
    const POD: &str = r#"{"spec":{"containers":[{"name":"a"}]}}"#;
    for (text, path, advice) in [
        (
            r#"{"kind":"Deployment","metadata":{"annotations":K},"spec":{"template":P}}"#,
            "metadata.annotations",
            "move it to spec.template.metadata.annotations",
        ),
        (
            r#"{"kind":"Deployment","spec":{"template":{"metadata":{"labels":K},"spec":{"containers":[]}}}}"#,
            "spec.template.metadata.labels",
            "move it to spec.template.metadata.annotations",
        ),
        (
            r#"{"kind":"Deployment","spec":{"template":{"annotations":K,"spec":{"containers":[]}}}}"#,
            "spec.template.annotations",
            "move it to spec.template.metadata.annotations",
        ),
        (
            r#"{"kind":"CronJob","spec":{"jobTemplate":{"metadata":{"annotations":K},"spec":{"template":P}}}}"#,
            "spec.jobTemplate.metadata.annotations",
            "move it to spec.jobTemplate.spec.template.metadata.annotations",
        ),
        (
            r#"{"kind":"JobSet","apiVersion":"jobset.x-k8s.io/v1","spec":{"jobs":[{"template":P},{"metadata":{"annotations":K},"template":P}]}}"#,
            "spec.jobs[1].metadata.annotations",
            "move it to spec.jobs[1].template.metadata.annotations",
        ),
        (
            r#"{"kind":"Pod","spec":{"containers":[]},"annotations":K}"#,
            "annotations",
            "move it to metadata.annotations",
        ),
        (
            r#"{"kind":"Namespace","metadata":{"annotations":K}}"#,
            "metadata.annotations",
            "metadata.annotations of the pod",
        ),
        (
            r#"{"kind":"Deployment","apiVersion":"apps/v1","spec":{"template":{"metadata":{"annotations":K}}}}"#,
            "spec.template.metadata.annotations",
            "spec.template is no pod template, which has a list spec.containers",
        ),
        (
            r#"{"kind":"Workflow","apiVersion":"argoproj.io/v1","spec":{"templates":[{"metadata":{"annotations":K},"container":{}}]}}"#,
            "spec.templates[0].metadata.annotations",
            "no pod template",
        ),
        (
            r#"{"kind":"Workflow","apiVersion":"argoproj.io/v1","spec":{"podMetadata":{"annotations":K}}}"#,
            "spec.podMetadata.annotations",
            "no pod template",
        ),
        (
            r#"{"kind":"PodList","metadata":{"annotations":K},"items":[]}"#,
            "metadata.annotations",
            "of the list",
        ),
    ] {
        let text = text.replace(":K", &format!(":{KEY}")).replace(":P", &format!(":{POD}"));
        for key in ["vault.hashicorp.com/agent-inject", "Vault.HashiCorp.com/agent-inject"] {
            let text = text.replace("vault.hashicorp.com/agent-inject", key);
            let (_, found) = run(&text);
            let [stray] = &found.strays[..] else { panic!("{text}: {found:?}") };
            assert_eq!(stray.path, path, "{text}");
            assert!(stray.message.contains(&format!("{key} at ")), "{}", stray.message);
            assert!(stray.message.contains(advice), "{}", stray.message);
        }
    }
}

#[test]
fn what_describes_other_objects_is_told_as_that() {
    let text = r#"{"kind":"ClusterPolicy","apiVersion":"kyverno.io/v1","spec":{"rules":[{"mutate":{"patchStrategicMerge":{"spec":{"template":T}}}}]}}"#;
    let (_, found) = run(&text.replace(":T", &format!(":{TEMPLATE}")));
    let [stray] = &found.strays[..] else { panic!("{found:?}") };
    let told = "what stands below patchStrategicMerge describes other objects";
    assert!(stray.message.contains(told), "{}", stray.message);
}

#[test]
fn annotations_that_count_elsewhere_are_no_mistakes() {
    for text in [
        // Charts put their common annotations everywhere.
        format!(r#"{{"kind":"Job","metadata":{{"annotations":{{"vault.hashicorp.com/agent-inject":"true"}}}},"spec":{{"template":{TEMPLATE}}}}}"#),
        r#"{"kind":"ServiceAccount","metadata":{"annotations":{"vault.hashicorp.com/alias-metadata-env":"x"}}}"#.to_owned(),
        r#"{"kind":"Service","metadata":{"annotations":{"example.com/vault.hashicorp.com/role":"x"}}}"#.to_owned(),
    ] {
        assert_eq!(run(&text).1.strays, [], "{text}");
    }
}

#[test]
fn a_pod_that_forgets_to_ask_is_told() {
    let text = r#"{"kind":"Pod","metadata":{"annotations":{"vault.hashicorp.com/role":"r"}},"spec":{"containers":[{"name":"a"}]}}"#;
    let warnings = run(text).1.pods[0].outcome.warnings.clone();
    assert!(
        matches!(&warnings[..], [one] if one.contains("role has no effect without")),
        "{warnings:?}"
    );
    let refuses = text
        .replace("vault.hashicorp.com/role\":\"r", "vault.hashicorp.com/agent-inject\":\"false");
    assert_eq!(run(&refuses).1.pods[0].outcome.warnings, Vec::<String>::new());
}

#[test]
fn without_automount_the_agents_bring_their_own_token() {
    let text = format!(r#"{{"kind":"Job","spec":{{"template":{TEMPLATE}}}}}"#).replace(
        r#""spec":{"containers""#,
        r#""spec":{"automountServiceAccountToken":false,"containers""#,
    );
    let (json, found) = run(&text);
    assert!(json.to_text().contains("vault-injector-token"));
    let token = &found.pods[0].explanation.token;
    assert!(token.starts_with("the token of the volume vault-injector-token, "), "{token}");
}

#[test]
fn what_was_empty_stays_as_it_was() {
    for (before, lists) in [
        (r#","volumeMounts":[]"#, r#""volumeMounts":[{"#),
        (r#","volumeMounts":null"#, r#""volumeMounts":[{"#),
    ] {
        let text = TEMPLATE.replace(r#"{"name":"app""#, &format!(r#"{{"name":"app"{before}"#));
        let (json, _) = run(&format!(r#"{{"kind":"Job","spec":{{"template":{text}}}}}"#));
        assert!(json.to_text().contains(lists));
        let other =
            text.replace(r#""r""#, r#""r","vault.hashicorp.com/agent-inject-containers":"none""#);
        let (json, _) = run(&format!(r#"{{"kind":"Job","spec":{{"template":{other}}}}}"#));
        assert!(json.to_text().contains(before.trim_start_matches(',')), "{}", json.to_text());
    }
}

#[test]
fn what_is_not_injected_stays_as_it_is() {
    let text = r#"{"kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"a"}]}}"#;
    let (json, found) = run(text);
    let found = &found.pods[0];
    assert_eq!((json.to_text().as_str(), found.outcome.reason), (text, "not-annotated"));
    assert_eq!(found.explanation, Explanation::default());
}
