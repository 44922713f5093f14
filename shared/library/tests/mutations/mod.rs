//! The checks, checked: a shipped fix is broken in one place, and something must say so, with the place and the next step.

use stanch_core::fix::Fix;
use stanch_library::{Library, LibraryError};

use crate::cases;

/// Who must catch a broken fix.
enum Caught {
    /// `Fix::parse`: the whole first mistake as people see it, without the file.
    Parse(&'static str),
    /// `missing_permissions`: what is missing.
    Permissions(&'static [&'static str]),
    /// A case: its file and a part of what it says.
    Case(&'static str, &'static str),
}

struct Mutation {
    what: &'static str,
    fix: &'static str,
    from: &'static str,
    to: &'static str,
    caught: Caught,
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        what: "the undo is dropped",
        fix: "aws-kms-enable-rotation",
        from: "    undo:\n      - call: kms.DisableKeyRotation\n        input: {KeyId: \"${resource.id}\"}\n",
        to: "",
        caught: Caught::Parse(
            "39:5: this change has no `undo`\n   |\n39 |   - title: Turn on automatic rotation of key ${resource.id}\n   |     ^\nhint: declare the call that puts it back, or `undo: {impossible: why}` for the fix",
        ),
    },
    Mutation {
        what: "an input member is misspelt",
        fix: "aws-rds-disable-public-access",
        from: "      PubliclyAccessible: false",
        to: "      PubliclyAccesible: false",
        caught: Caught::Case("public.yaml", "  -     PubliclyAccessible: false\n  +     PubliclyAccesible: false"),
    },
    Mutation {
        what: "an input member of a read is misspelt",
        fix: "aws-rds-disable-public-access",
        from: "    input: {DBInstanceIdentifier: \"${resource.id}\"}\n    take: \"{'PubliclyAccessible'",
        to: "    input: {DBInstanceIdentifer: \"${resource.id}\"}\n    take: \"{'PubliclyAccessible'",
        caught: Caught::Case("public.yaml", "  -   DBInstanceIdentifier: shop\n  +   DBInstanceIdentifer: shop"),
    },
    Mutation {
        what: "`when` is turned round",
        fix: "aws-cloudtrail-enable-log-validation",
        from: "when: trail.LogFileValidationEnabled != true",
        to: "when: trail.LogFileValidationEnabled == true",
        caught: Caught::Case("off.yaml", "found the resource compliant"),
    },
    Mutation {
        what: "`verify` asks for something the changes do not do",
        fix: "aws-cloudtrail-enable-log-validation",
        from: "change:\n",
        to: "verify: trail.LogFileValidationEnabled == false\nchange:\n",
        caught: Caught::Case("off.yaml", "after all changes, proved is false"),
    },
    Mutation {
        what: "the filter of `for_each` is broader than the fault",
        fix: "azure-sql-remove-any-address-rules",
        from: "for_each: rules.filter(r, r.startIpAddress == '0.0.0.0' && r.endIpAddress in ['0.0.0.0', '255.255.255.255'])",
        to: "for_each: rules.filter(r, r.startIpAddress == '0.0.0.0')",
        caught: Caught::Case("several.yaml", "title: Remove the firewall rule half (0.0.0.0 to 127.255.255.255) of shopsql"),
    },
    Mutation {
        what: "the filter of a revoke forgets IPv6",
        fix: "aws-ec2-revoke-world-ingress",
        from: "      ingress.filter(r, (cidr_is_world(r.CidrIpv4) || cidr_is_world(r.CidrIpv6)) &&",
        to: "      ingress.filter(r, cidr_is_world(r.CidrIpv4) &&",
        caught: Caught::Case("several.yaml", "  -   title: Close tcp 22-22 to ::/0"),
    },
    Mutation {
        what: "a permission is missing",
        fix: "aws-lambda-remove-public-permissions",
        from: "  - lambda:AddPermission\n",
        to: "",
        caught: Caught::Permissions(&["lambda:AddPermission"]),
    },
    Mutation {
        what: "a permission of a child resource is missing",
        fix: "azure-sql-remove-any-address-rules",
        from: "  - Microsoft.Sql/servers/firewallRules/delete\n",
        to: "",
        caught: Caught::Permissions(&["microsoft.sql/servers/firewallrules/delete"]),
    },
    Mutation {
        what: "the permission of a find is missing",
        fix: "aws-ec2-quarantine-instance",
        from: "  - ec2:DescribeSecurityGroups\n",
        to: "",
        caught: Caught::Permissions(&["ec2:DescribeSecurityGroups"]),
    },
    Mutation {
        what: "a find looks for what somebody else made too",
        fix: "aws-ec2-quarantine-instance",
        from: "          - {Name: \"tag:stanch:change\", Values: [\"${client_token}\"]}\n",
        to: "",
        caught: Caught::Case("new-group.yaml", "tag:stanch:change"),
    },
    Mutation {
        what: "a variable is unknown",
        fix: "gcp-sql-require-tls",
        from: "when: settings.sslMode ==",
        to: "when: setting.sslMode ==",
        caught: Caught::Parse(
            "31:7: `setting.sslMode == 'ALLOW_UNENCRYPTED_AND_ENCRYPTED'`: unknown variable `setting`; did you mean `settings`?\n   |\n31 | when: setting.sslMode == 'ALLOW_UNENCRYPTED_AND_ENCRYPTED'\n   |       ^",
        ),
    },
    Mutation {
        what: "a key is misspelt",
        fix: "azure-keyvault-enable-purge-protection",
        from: "    repeat: safe",
        to: "    repaet: safe",
        caught: Caught::Parse(
            "29:5: unknown field `repaet`, expected one of title, call, input, query, headers, body, when, for_each, repeat, sets, gives, find, ok, undo\n   |\n29 |     repaet: safe\n   |     ^",
        ),
    },
    Mutation {
        what: "`sets` names what is not observed",
        fix: "azure-sql-require-tls12",
        from: "sets: {server.minimalTlsVersion: \"1.2\"}",
        to: "sets: {servers.minimalTlsVersion: \"1.2\"}",
        caught: Caught::Parse(
            "27:39: `sets` names `servers`, which is not observed\n   |\n27 |     sets: {servers.minimalTlsVersion: \"1.2\"}\n   |                                       ^\nhint: did you mean `server`?",
        ),
    },
    Mutation {
        what: "`sets` names another member than the change sets",
        fix: "azure-sql-require-tls12",
        from: "sets: {server.minimalTlsVersion: \"1.2\"}",
        to: "sets: {server.minimalTLSVersion: \"1.2\"}",
        caught: Caught::Case(
            "old.yaml",
            "  - - \"server.minimalTlsVersion: 1.0 -> 1.2\"\n  + - \"server.minimalTLSVersion: absent -> 1.2\"",
        ),
    },
    Mutation {
        what: "`take` is missing",
        fix: "aws-ec2-enable-ebs-default-encryption",
        from: "    take: \"{'EbsEncryptionByDefault': response.EbsEncryptionByDefault == true}\"\n",
        to: "",
        caught: Caught::Parse("21:5: missing field `take`\n   |\n21 |     call: ec2.GetEbsEncryptionByDefault\n   |     ^"),
    },
    Mutation {
        what: "the undo writes the new value",
        fix: "azure-storage-require-secure-transfer",
        from: "supportsHttpsTrafficOnly: \"${account.supportsHttpsTrafficOnly}\"",
        to: "supportsHttpsTrafficOnly: true",
        caught: Caught::Case("fault.yaml", "  -         supportsHttpsTrafficOnly: false\n  +         supportsHttpsTrafficOnly: true"),
    },
    Mutation {
        what: "a list whose order means nothing is not sorted",
        fix: "gcp-storage-remove-public-iam",
        from: "b.members.sort()",
        to: "b.members",
        caught: Caught::Case("mixed.yaml", "with its lists in another order: the hash is another one"),
    },
    Mutation {
        what: "a token is taken into the observed state",
        fix: "gcp-storage-remove-public-iam",
        from: "{'version': response.version, ",
        to: "{'version': response.version, 'etag': response.etag, ",
        caught: Caught::Case("mixed.yaml", "with other tokens: the hash is another one"),
    },
    Mutation {
        what: "the code of a missing thing is taken for an error",
        fix: "aws-s3-block-public-access",
        from: "    absent: [NoSuchPublicAccessBlockConfiguration]\n",
        to: "",
        caught: Caught::Case("absent.yaml", "answered 404 NoSuchPublicAccessBlockConfiguration"),
    },
];

#[test]
fn a_broken_fix_is_caught() {
    let library = Library::builtin().unwrap();
    let wrong: Vec<String> =
        MUTATIONS.iter().filter_map(|m| caught(&library, m).err().map(|why| format!("{} ({}): {why}", m.what, m.fix))).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn a_name_that_stands_already_is_refused_with_both_files() {
    let mut library = Library::builtin().unwrap();
    let (file, text) = library.source("aws-kms-enable-rotation").map(|(f, t)| (f.to_owned(), t.to_owned())).unwrap();
    let error = library.add("mine/fix.yaml", text).unwrap_err();
    assert!(matches!(error, LibraryError::Duplicate { .. }));
    assert_eq!(
        error.to_string(),
        format!("fix `aws-kms-enable-rotation` stands twice, in {file} and in mine/fix.yaml\nhint: rename one of them")
    );
}

fn caught(library: &Library, mutation: &Mutation) -> Result<(), String> {
    let (_, text) = library.source(mutation.fix).ok_or("there is no such fix")?;
    if text.matches(mutation.from).count() != 1 {
        return Err("the text to break does not stand in it exactly once".into());
    }
    let broken = Fix::parse("fix.yaml", &text.replace(mutation.from, mutation.to));
    match (&mutation.caught, broken) {
        (Caught::Parse(said), Err(mistakes)) => {
            let found = mistakes.first().map(ToString::to_string).unwrap_or_default();
            if found == format!("fix.yaml:{said}") { Ok(()) } else { Err(format!("parsing says\n{found}")) }
        }
        (_, Err(mistakes)) => {
            Err(format!("it does not even parse: {}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
        }
        (Caught::Parse(_), Ok(_)) => Err("it parses".into()),
        (Caught::Permissions(missing), Ok(fix)) => {
            let found = fix.missing_permissions();
            if found == *missing { Ok(()) } else { Err(format!("missing permissions are {found:?}")) }
        }
        (Caught::Case(file, said), Ok(fix)) => {
            let cases = cases::of(&fix);
            let (_, case) = cases.iter().find(|(path, _)| path.ends_with(file)).ok_or("there is no such case")?;
            match cases::judge(&fix, case) {
                Err(found) if !said.is_empty() && found.contains(said) => Ok(()),
                Err(found) => Err(format!("the case says\n{found}")),
                Ok(()) => Err("the case passes".into()),
            }
        }
    }
}
