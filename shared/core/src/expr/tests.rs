use serde_json::{Value, json};

use super::*;
use crate::cloud::{Account, Cloud};
use crate::finding::{Compliance, FindingClass, Product, Severity, Source, Vulnerability};

const DAY: i64 = 86_400_000;

/// Evaluates over the members of `vars`, as a fix does. Errors come as their message.
fn eval(source: &str, vars: &Value) -> Result<Value, String> {
    let vars = vars.as_object().unwrap();
    let expr = Expr::compile(source, &Dialect::fix(vars.keys().cloned())).map_err(|e| e.to_string())?;
    let scope = vars.iter().fold(Scope::new(), |scope, (name, value)| scope.json(name, value));
    expr.eval(&scope).map_err(|e| e.message)
}

fn check(source: &str, vars: &Value, expected: Value) {
    assert_eq!(eval(source, vars), Ok(expected), "{source}");
}

fn refused(source: &str) -> ExprError {
    Expr::compile(source, Dialect::rules()).unwrap_err()
}

fn finding() -> Finding<'static> {
    let product = Product { name: "Security Hub".into(), vendor: "AWS".into(), ..Product::default() };
    let mut finding = Finding::new(Source::SecurityHub, FindingClass::Compliance, Cloud::Aws, "f-1", product);
    finding.title = "SQL Server is open".into();
    finding.severity = Severity::High;
    finding.created = Some(0);
    finding.account = Some(Account { uid: "111122223333".into(), name: Some("shop".into()) });
    finding.compliance = Some(Compliance { control: Some("RDS.2".into()), standards: vec!["fsbp".into()], ..Compliance::default() });
    finding.vulnerabilities = vec![Vulnerability { cve: Some("CVE-2024-1".into()), ..Vulnerability::default() }, Vulnerability::default()];
    finding
}

fn resource() -> Resource<'static> {
    let mut resource = Resource::new(Cloud::Aws, "arn:aws:rds:eu-west-1:111122223333:db:Shop");
    resource.tags = vec![("env".into(), "prod".into()), ("Team".into(), "a".into())];
    resource
}

fn rule(source: &str) -> Value {
    let (finding, resource) = (finding(), resource());
    let expr = Expr::compile(source, Dialect::rules()).unwrap();
    expr.eval(&Scope::new().finding(&finding).resource(&resource).now(36 * 3_600_000)).unwrap()
}

#[test]
fn values_come_back_as_they_went_in() {
    let v = json!({"a": {"n": 5, "f": 5.0, "big": u64::MAX, "neg": -3, "s": "é", "t": true, "z": null, "l": [1, "x", {"k": [2]}]}});
    check("a", &v, v["a"].clone());
    check("a.l[2].k", &v, json!([2]));
    check("a.f", &v, json!(5.0));
    check("{'b': a.l, 'a': [a.s]}", &v, json!({"a": ["é"], "b": [1, "x", {"k": [2]}]}));
    check("a.n + 1", &v, json!(6));
    check("a.s + '!'", &v, json!("é!"));
    assert_eq!(eval("1.0 / 0.0", &v), Err("the result is not a finite number".to_owned()));
    assert_eq!(eval("{1: 2}", &v), Err("a map in the result must have text keys, and this has a whole number as a key".to_owned()));
    assert_eq!(eval("b'x'", &v), Err("the result must be JSON, and a value of type `bytes` is not".to_owned()));
}

#[test]
fn what_is_absent_is_null_and_so_are_its_members() {
    let v = json!({"a": {"l": [1], "z": null}});
    for null in
        ["a.x", "a['x']", "a.x.y.z", "a.x[0]", "a.z.q", "a.l[7]", "a.l[-1]", "a.l[0 + 1].b", "[1][3]", "{'k': 1}.j", "null.x", "a[1]"]
    {
        check(null, &v, Value::Null);
        check(&format!("{null} == null"), &v, json!(true));
        check(&format!("null != {null}"), &v, json!(false));
    }
    for other in ["a", "a.l", "a.l[0]", "'x'", "[]", "{}", "true", "0", "1.5"] {
        check(&format!("{other} == null || null == {other}"), &v, json!(false));
        check(&format!("{other} != null && null != {other}"), &v, json!(true));
    }
    check("has(a.l) && !has(a.x) && !has(a.z) && !has(a.x.y)", &v, json!(true));
    check("'z' in a && !('x' in a)", &v, json!(true));
}

#[test]
fn any_other_clash_is_an_error_that_shows_no_value() {
    let v = json!({"a": {"s": "secret", "n": null, "l": [1]}});
    for (source, message) in [
        ("a.n >= 3", "`>=` cannot be applied to null and int"),
        ("a.s + 1", "`+` cannot be applied to text and int"),
        ("a.n.startsWith('x')", "`startsWith()` cannot be called on null with text"),
        ("a.s.member", "`[]` cannot be applied to text and text"),
        ("a.l['x']", "`[]` cannot be applied to list and text"),
        ("1 in a.n", "`in` cannot be applied to int and null"),
        ("a.n.exists(x, x == 1)", "expected a list, got null"),
        ("!a.s", "`!` cannot be applied to text"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "`+` overflows 64 bits"),
    ] {
        assert_eq!(eval(source, &v), Err(message.to_owned()), "{source}");
    }
    let expr = Expr::compile("a.s", &Dialect::fix(["a".to_owned()])).unwrap();
    let error = expr.test(&Scope::new().json("a", &v["a"])).unwrap_err();
    assert_eq!(error.to_string(), "`a.s`: a condition must be true or false, and this is text");
    let error = expr.eval(&Scope::new()).unwrap_err();
    assert_eq!(error.to_string(), "`a.s`: `a` has no value here");
}

#[test]
fn lists_are_filtered_mapped_and_subtracted() {
    let v = json!({
        "rules": [{"id": 1, "c": "10.0.0.0/8"}, {"id": 2, "c": "0.0.0.0/0", "p": {"from": 22}}, {"id": 3, "v6": "::/0"}],
        "item": {"id": 2},
        "tags": {"b": 1, "a": 2},
    });
    check("rules.filter(r, r.id != item.id).map(r, r.id)", &v, json!([1, 3]));
    check("rules.filter(r, r.id == item.id)", &v, json!([v["rules"][1]]));
    check("rules.filter(r, r.id == 9)[0].p.from", &v, Value::Null);
    check("rules.filter(r, r.id == 2)[0].p.from", &v, json!(22));
    check("without(rules, rules.filter(r, r.id < 3)) == [rules[2]]", &v, json!(true));
    check("without(['a', 'b', 'a'], ['a'])", &v, json!(["b"]));
    check("without(rules, [{'id': 1, 'c': '10.0.0.0/8'}]).size()", &v, json!(2));
    check("rules.exists(r, cidr_is_world(r.c) || cidr_is_world(r.v6))", &v, json!(true));
    check("rules.all(r, cidr_is_world(r.c))", &v, json!(false));
    check("rules.map(r, {'id': r.id, 'from': r.p.from})[1]", &v, json!({"id": 2, "from": 22}));
    check("rules[0] == {'id': 1, 'c': '10.0.0.0/8'} && {'id': 2} == item", &v, json!(true));
    check("item in [{'id': 2}] && {'id': 2} in [item]", &v, json!(true));
    check("tags.map(k, k + string(tags[k]))", &v, json!(["a2", "b1"]));
    check("size(tags) + size(rules) + 'abc'.size()", &v, json!(8));
    check("rules.map(r, r.c) + ['x']", &v, json!(["10.0.0.0/8", "0.0.0.0/0", null, "x"]));
    check("['b', 'a', 'b'].distinct().sort().join('+')", &v, json!("a+b"));
    check("rules.sortBy(r, -r.id)[0].id", &v, json!(3));
}

#[test]
fn json_text_is_read() {
    let v = json!({"a": {"policy": r#"{"S":[{"Sid":"x","P":"*","n":2},{"P":{"AWS":"*"}}],"z":null}"#, "bad": "{secret", "deep": "[".repeat(4000)}});
    check("json(a.policy).S.filter(s, s.P == '*').map(s, s.Sid)", &v, json!(["x"]));
    check("json(a.policy).S.exists(s, s.P.AWS == '*')", &json!({"a": {"policy": r#"{"S":[{"P":{"AWS":"*"}}]}"#}}), json!(true));
    check("json(a.policy) == {'S': [{'Sid': 'x', 'P': '*', 'n': 2}, {'P': {'AWS': '*'}}], 'z': null}", &v, json!(true));
    check("json(a.policy)", &v, serde_json::from_str(v["a"]["policy"].as_str().unwrap()).unwrap());
    check("json(a.policy).z.q", &v, Value::Null);
    check("json(a.absent)", &v, Value::Null);
    assert_eq!(eval("json(a.bad)", &v), Err("`json()`: the text is no JSON".to_owned()));
    assert_eq!(eval("json(a.deep)", &v), Err("`json()`: the text is no JSON".to_owned()));
    assert_eq!(eval("json(1)", &v), Err("`json` cannot be applied to int".to_owned()));
}

#[test]
fn the_whole_internet_is_recognised() {
    for world in ["0.0.0.0/0", "::/0", "10.0.0.0/0", "0::0/0", "*", "Internet", "ANY", " 0.0.0.0/0 "] {
        check("cidr_is_world(c)", &json!({"c": world}), json!(true));
    }
    for other in ["0.0.0.0/1", "10.0.0.0/8", "::/1", "0.0.0.0", "", "internets", "x/0", "::1/128", "0.0.0.0/10"] {
        check("cidr_is_world(c)", &json!({"c": other}), json!(false));
    }
    check("cidr_is_world(c)", &json!({"c": null}), json!(false));
    assert_eq!(eval("cidr_is_world(c)", &json!({"c": 1})), Err("`cidr_is_world` cannot be applied to int".to_owned()));
}

#[test]
fn a_rule_sees_finding_and_resource() {
    for (source, expected) in [
        ("finding.severity >= HIGH && finding.severity < CRITICAL", json!(true)),
        ("[INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL, FATAL]", json!([1, 2, 3, 4, 5, 6])),
        ("finding.title.lowerAscii().contains('sql')", json!(true)),
        ("finding.control == 'RDS.2' && 'fsbp' in finding.standards", json!(true)),
        ("finding.cves", json!(["CVE-2024-1"])),
        ("finding.account + finding.account_name", json!("111122223333shop")),
        ("finding.age_days", json!(1.5)),
        ("finding.age_days > 1 && finding.age_days < 2", json!(true)),
        ("finding.risk_level", json!(null)),
        ("finding.compliance_status + finding.status + finding.class + finding.activity", json!("unknownunknowncompliancecreate")),
        ("resource.tags['env'] != 'sandbox' && resource.tags.Team == 'a' && resource.tags.owner == null", json!(true)),
        ("resource.tags.map(k, k)", json!(["Team", "env"])),
        ("resource.tags", json!({"Team": "a", "env": "prod"})),
        ("resource.tags['ENV']", json!(null)),
        ("resource", json!({"cloud": "aws", "uid": "arn:aws:rds:eu-west-1:111122223333:db:Shop", "tags": {"Team": "a", "env": "prod"}})),
        ("resource.uid.matches('^arn:aws:rds:')", json!(true)),
        ("type(finding.severity) == int", json!(true)),
    ] {
        assert_eq!(rule(source), expected, "{source}");
    }
}

#[test]
fn every_published_attribute_can_be_named_and_read() {
    let (finding, mut resource) = (finding(), resource());
    let scope = Scope::new().finding(&finding).resource(&resource).now(DAY);
    for (root, names) in [("finding", dialect::FINDING), ("resource", dialect::RESOURCE)] {
        for name in names {
            Expr::compile(&format!("{root}.{name}"), Dialect::rules()).unwrap().eval(&scope).unwrap();
        }
    }
    // Attributes this finding does hold: a name missing from the reader would be null.
    for held in ["source", "uid", "types", "severity", "cloud", "account", "standards", "product", "sample", "resource_count"] {
        assert_ne!(Expr::compile(&format!("finding.{held}"), Dialect::rules()).unwrap().eval(&scope), Ok(Value::Null), "{held}");
    }
    resource.cloud = Cloud::Azure;
    let tag = Expr::compile("resource.tags['ENV']", Dialect::rules()).unwrap();
    assert_eq!(tag.eval(&Scope::new().resource(&resource)), Ok(json!("prod")), "Azure's tag names ignore case");
}

#[test]
fn age_needs_a_time_and_a_now_and_is_never_negative() {
    let mut finding = finding();
    let age = Expr::compile("finding.age_days", Dialect::rules()).unwrap();
    assert_eq!(age.eval(&Scope::new().finding(&finding)), Ok(Value::Null));
    assert_eq!(age.eval(&Scope::new().finding(&finding).now(-DAY)), Ok(json!(0.0)));
    finding.created = None;
    assert_eq!(age.eval(&Scope::new().finding(&finding).now(DAY)), Ok(Value::Null));
    finding.time = Some(DAY);
    assert_eq!(age.eval(&Scope::new().finding(&finding).now(3 * DAY)), Ok(json!(2.0)));
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    for (source, at, message, hint) in [
        ("finding.sevrity >= HIGH", 8, "unknown attribute `sevrity` of `finding`", "did you mean `severity`?"),
        ("true && has(finding.titel)", 20, "unknown attribute `titel` of `finding`", "did you mean `title`?"),
        ("resource['tag'] == null", 10, "unknown attribute `tag` of `resource`", "did you mean `tags`?"),
        ("findings.title == ''", 0, "unknown variable `findings`", "did you mean `finding`?"),
        ("finding.severity > HIHG", 19, "unknown variable `HIHG`", "did you mean `HIGH`?"),
        ("'é' == quux", 8, "unknown variable `quux`", "known are finding, resource"),
        ("finding.types.exists(t, tt == '')", 24, "unknown variable `tt`", "did you mean `t`?"),
        ("finding.title.startWith('a')", 14, "unknown function `startWith`", "did you mean `startsWith`?"),
        ("cidr_is_wordl('a')", 0, "unknown function `cidr_is_wordl`", "did you mean `cidr_is_world`?"),
        ("lowerAscii(finding.title)", 0, "unknown function `lowerAscii`", "write x.lowerAscii()"),
        ("finding.types.exists('a')", 14, "`exists` is not used like this", "write list.exists(x, condition)"),
    ] {
        let error = refused(source);
        assert_eq!((error.offset, error.message.as_str(), error.hint.as_deref()), (Some(at), message, Some(hint)), "{source}");
    }
    let error = refused("finding.sevrity > 1");
    assert_eq!(error.to_string(), "`finding.sevrity > 1`: unknown attribute `sevrity` of `finding`; did you mean `severity`?");
    for (source, message) in [
        ("finding.title.contains()", "`contains()` takes 1 argument, not 0"),
        ("finding.title.matches('(')", "not a regular expression"),
        ("timestamp('2024-01-01T00:00:00Z') == null", "unknown function `timestamp`"),
        ("duration('1h') == null", "unknown function `duration`"),
        ("lists.range(3)", "unknown function `range`"),
        ("optional.of(1)", "unknown function `of`"),
        ("google.protobuf.Int32Value{value: 1} == 1", "`google.protobuf.Int32Value {...}` is not offered"),
    ] {
        assert_eq!(refused(source).message, message, "{source}");
    }
}

#[test]
fn a_loop_variable_hides_a_root_only_inside_its_loop() {
    assert_eq!(rule("[{'x': 1}].exists(finding, finding.x == 1)"), json!(true));
    assert_eq!(refused("[1].exists(r, r == 1) && r == 1").message, "unknown variable `r`");
    assert_eq!(refused("r.exists(r, r == 1)").message, "unknown variable `r`");
}

#[test]
fn roots_are_the_variables_and_nothing_else() {
    let dialect = Dialect::fix(["item", "given", "unused"].map(str::to_owned));
    let expr = Expr::compile("item.l.filter(x, x > HIGH && type(x) == int).map(y, given.z[y])", &dialect).unwrap();
    assert_eq!(expr.roots().collect::<Vec<_>>(), ["given", "item"]);
    assert_eq!(expr.source(), "item.l.filter(x, x > HIGH && type(x) == int).map(y, given.z[y])");
}

#[test]
fn syntax_errors_say_where() {
    for (source, offset, position, message) in [
        ("finding.severity >", 18, (1, 19), "syntax error at 1:19: mismatched input '<EOF>'"),
        ("'é' == 'é' &&\n  (true", 23, (2, 8), "syntax error at 2:8: missing ')' at '<EOF>'"),
        ("true &\n& true", 5, (1, 6), "syntax error at 1:6: token recognition error at: '& '"),
        ("'open", 0, (1, 1), "syntax error at 1:1: token recognition error at: ''open'"),
        ("finding.?title", 7, (1, 8), "syntax error at 1:8: unsupported syntax '.?'"),
    ] {
        let error = refused(source);
        assert_eq!((error.offset, error.position(), error.message.as_str()), (Some(offset), Some(position), message), "{source}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(refused("  ").to_string(), "``: empty; expected an expression");
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_before_it_is_parsed() {
    let nested = |n: usize, open: &str, close: &str| format!("{}true{}", open.repeat(n), close.repeat(n));
    for (source, message) in [
        (format!("'{}' == ''", "a".repeat(4096)), "4104 bytes long, and at most 4096 are accepted"),
        (nested(33, "(", ")"), "nested deeper than 32"),
        (nested(33, "[", "]"), "nested deeper than 32"),
        (nested(33, "{'a':", "}"), "nested deeper than 32"),
        (nested(33, "! ", ""), "nested deeper than 32"),
        (nested(33, "-//\n", ""), "nested deeper than 32"),
        (nested(33, "true ? false : ", ""), "nested deeper than 32"),
        (format!("r'\\'{}", nested(33, "+(", ")")), "nested deeper than 32"),
        (format!("''' ' '''{}", nested(33, "+(", ")")), "nested deeper than 32"),
        (vec!["1"; 202].join("+"), "more than 200 operators in one chain"),
        (format!("finding{}", ".x".repeat(201)), "more than 200 operators in one chain"),
    ] {
        assert_eq!(refused(&source).message, message, "{source}");
    }
    assert_eq!(rule(&format!("'{}' == ''", "(".repeat(100))), json!(false), "brackets in text do not count");
    assert_eq!(rule(&format!("true // {}", "(".repeat(100))), json!(true), "brackets in comments do not count");
}

#[test]
fn the_deepest_that_is_accepted_fits_the_stack() {
    let v = json!({"a": {"b": [0]}});
    let on_32 = |open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(32), close.repeat(32));
    check(&on_32("(", "1", ")"), &v, json!(1));
    check(&on_32("dyn(", "a.b", ")"), &v, json!([0]));
    check(&format!("{} == 199", vec!["1"; 199].join("+")), &v, json!(true));
    check(&on_32("false ? 1 : ", "2", ""), &v, json!(2));
    check(&vec!["a.b[0] == 1"; 250].join("||"), &v, json!(false));
    let maps = eval(&on_32("[1].map(x, ", "1", ")"), &v).unwrap();
    assert_eq!(maps.to_string().matches('[').count(), 32);
    check(&format!("{}1{}", "[1 + dyn(1 + -(true ? 1 : 1 + ".repeat(10), "))][0]".repeat(10)), &v, json!(1));
}

#[test]
fn many_threads_evaluate_one_expression() {
    let expr = Expr::compile("finding.title.startsWith('SQL') && resource.tags.env == 'prod'", Dialect::rules()).unwrap();
    let (finding, resource) = (finding(), resource());
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| assert_eq!(expr.test(&Scope::new().finding(&finding).resource(&resource)), Ok(true)));
        }
    });
}

#[test]
fn the_nearest_name_is_near() {
    assert_eq!(nearest("sevrity", ["severity", "status"]), Some("severity"));
    assert_eq!(nearest("HIGH", ["high"]), Some("high"));
    assert_eq!(nearest("colour", ["severity", "status"]), None);
    assert_eq!(nearest("", ["a"]), Some("a"));
}

#[test]
fn conditions_people_write_need_no_thread() {
    for source in [
        "finding.severity >= HIGH && finding.title.contains('SQL') && resource.tags['env'] != 'sandbox'",
        "finding.types.exists(t, t.lowerAscii().startsWith('pci') && t != 'PCI 3') || finding.cves.size() > 2",
        "finding.rule in ['a', 'b'] ? resource.tags.owner == null : !finding.sample && has(finding.region)",
    ] {
        let expr = Expr::compile(source, Dialect::rules()).unwrap();
        assert!(expr.0.depth <= SHALLOW, "{source}: {}", expr.0.depth);
    }
}
