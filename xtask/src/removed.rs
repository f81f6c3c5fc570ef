//! `cargo xtask removed`: checks of who may do what are taken out one at a time, in a copy of the
//! sources, and each time a test must turn red that is named here.
//!
//! What a row looks for stands exactly once in its file, and a test of this task says so, so that no
//! row outlives the check that it is about. A row whose sources do not compile has shown nothing and
//! is an error, as is one whose test is not there.

use crate::workspace::{cargo, root, target};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A check, and how it is taken out.
struct Removed {
    /// The rule that goes.
    rule: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    suite: Suite,
    /// The test that must turn red.
    test: &'static str,
}

/// Tests that are one binary.
#[derive(Clone, Copy, PartialEq)]
enum Suite {
    Access,
    Http,
    Store,
}

impl Suite {
    const ALL: [Suite; 3] = [Suite::Access, Suite::Http, Suite::Store];

    fn flags(self) -> [&'static str; 4] {
        match self {
            Suite::Access => ["-p", "trestle-access", "--lib", "--locked"],
            Suite::Http => ["-p", "trestle-http", "--lib", "--locked"],
            Suite::Store => ["-p", "trestle-store", "--test=it", "--locked"],
        }
    }
}

const VERDICT: &str = "crates/access/src/verdict.rs";
const V4: &str = "crates/access/src/signature/v4.rs";
const TOKEN: &str = "crates/access/src/token.rs";
const LOGIN: &str = "crates/store/src/identity/login.rs";
const BORNE: &str = "crates/store/src/identity/token.rs";

const fn access(
    rule: &'static str,
    file: &'static str,
    (from, to): (&'static str, &'static str),
    test: &'static str,
) -> Removed {
    let suite = Suite::Access;
    Removed {
        rule,
        file,
        from,
        to,
        suite,
        test,
    }
}

const fn store(
    rule: &'static str,
    file: &'static str,
    change: (&'static str, &'static str),
    test: &'static str,
) -> Removed {
    Removed {
        suite: Suite::Store,
        ..access(rule, file, change, test)
    }
}

const CHECKS: &[Removed] = &[
    access(
        "a Deny wins",
        VERDICT,
        (
            "= case.denied_by_policy() {",
            "= case.denied_by_policy().filter(|_| false) {",
        ),
        "verdict::tests::a_deny_wins_wherever_it_stands",
    ),
    access(
        "whoever is unknown or disabled may do nothing",
        VERDICT,
        (
            "= case.refuse_who() {",
            "= case.refuse_who().filter(|_| false) {",
        ),
        "verdict::tests::a_mark_that_was_taken_away_does_not_count",
    ),
    access(
        "what is allowed, each policy of the session must allow",
        VERDICT,
        (
            "                Verdict::Denied(Reason::Session)\n",
            "verdict",
        ),
        "verdict::tests::a_session_has_at_most_what_its_policies_allow",
    ),
    access(
        "across accounts one's own policies must allow it, too",
        VERDICT,
        (
            "admitted.filter(|_| identity.admin || by_identity.is_some())",
            "admitted",
        ),
        "verdict::tests::across_accounts_both_sides_must_allow",
    ),
    access(
        "an ordered list binds everybody",
        VERDICT,
        (
            "= case.by_ordered_list() {",
            "= case.by_ordered_list().filter(|_| false) {",
        ),
        "verdict::tests::an_ordered_list_binds_everybody",
    ),
    access(
        "a block of public access keeps a public policy out",
        VERDICT,
        ("&& !own && policy.is_public()", "&& false"),
        "verdict::tests::the_public_access_block_keeps_out_the_public_alone",
    ),
    access(
        "an ordered list that grants something to everybody is public",
        "crates/access/src/acl.rs",
        (
            "self.entries != former.entries && self.lists_the_public()",
            "self.lists_the_public() && false",
        ),
        "acl::tests::a_list_is_public_that_admits_whoever_comes",
    ),
    access(
        "no policy gives what belongs to who administers all accounts",
        VERDICT,
        (
            "by_identity.filter(|_| is_of_administrators(self.asked.action))",
            "by_identity",
        ),
        "verdict::tests::what_only_resellers_may_no_policy_gives",
    ),
    access(
        "who backs an account up is bound by the lists of others",
        VERDICT,
        (
            "Some(object) if object.owner.account != *account => false,",
            "Some(object) if false && object.owner.account != *account => false,",
        ),
        "verdict::tests::who_backs_an_account_up_is_bound_by_the_lists_of_others",
    ),
    access(
        "a signature is that of the secret key",
        V4,
        (
            "key.sign_parts(&[preamble, digits]) != self.signature",
            "false",
        ),
        "signature::tests::",
    ),
    access(
        "a signature is of now",
        V4,
        ("if instant::is_skewed(signed_at, scope.now)", "if false"),
        "signature::tests::",
    ),
    access(
        "a presigned URL ends",
        V4,
        ("if at < scope.now", "if false"),
        "signature::tests::",
    ),
    access(
        "each x-amz- header is signed",
        V4,
        ("if must && !names", "if false && must && !names"),
        "signature::tests::",
    ),
    access(
        "a token is signed with the server's key",
        TOKEN,
        ("same(&mac, signature)", "(mac.len() == 32)"),
        "token::tests::every_changed_byte_voids_it",
    ),
    access(
        "a token ends",
        TOKEN,
        ("self.expires <= now.0", "self.expires == now.0 + (1 << 40)"),
        "token::tests::a_token_is_valid_until_it_ends_under_its_key_alone",
    ),
    Removed {
        rule: "a malformed bearer token is not nobody",
        file: "crates/http/src/presented.rs",
        from: "return Err(malformed());",
        to: "return Ok(None);",
        suite: Suite::Http,
        test: "presented::tests::only_one_well_formed_header_counts",
    },
    Removed {
        rule: "a body comes at a pace",
        file: "crates/http/src/pace.rs",
        from: "if self.came < self.asked.bytes_min() {",
        to: "if self.came < self.asked.bytes_min() && false {",
        suite: Suite::Http,
        test: "pace::tests::who_sends_too_little_is_given_up_when_the_grace_is_over",
    },
    store(
        "a verb decides again on what it finds",
        "crates/store/src/authorize.rs",
        ("            confirmed?;\n", "let _ = confirmed;\n"),
        "stale::a_right_that_goes_after_the_decision_is_not_used",
    ),
    store(
        "a version goes by its own list",
        "crates/store/src/authorize.rs",
        (
            "placement::find_version(read, &found.bucket, key, version).await?",
            "placement::find_version(read, &found.bucket, key, { let _ = version; VersionRef::Current })\
             .await?",
        ),
        "stale::a_version_is_decided_on_by_its_own_list",
    ),
    access(
        "attributes are under a bit of their own in a list",
        "crates/access/src/acl.rs",
        ("=> bits::WRITE_ATTRIBUTES,", "=> bits::WRITE_METADATA,"),
        "acl::tests::attributes_are_under_a_bit_of_their_own",
    ),
    store(
        "attributes change by a right of their own",
        "crates/store/src/object_update.rs",
        (
            "part(described, attributes, attributes);",
            "part(described && false, attributes, attributes);",
        ),
        "properties::each_part_needs_its_own_right_and_moves_what_it_should",
    ),
    store(
        "a clone of a bucket takes the right to all that it carries along",
        "crates/store/src/snapshot/clone.rs",
        (
            "always.into_iter().chain(tags).chain(acl)",
            "always.into_iter().take(1).chain(tags.filter(|_| false)).chain(acl.filter(|_| false))",
        ),
        "clone_rights::what_may_not_all_be_seen_is_not_cloned",
    ),
    store(
        "a clone of an object takes the right to what it carries along",
        "crates/store/src/clone.rs",
        (
            "decider.check(&carried, &source.key, Some(&found))",
            "decider.check(&carried[..0], &source.key, Some(&found))",
        ),
        "clone_rights::an_object_is_cloned_with_what_may_be_seen_of_it",
    ),
    store(
        "clones that leave at once know of each other",
        "crates/store/src/snapshot/clone.rs",
        (
            ".push(Expectation::Revision(key.clone(), row.revision));",
            ".extend(Some(Expectation::Revision(key.clone(), row.revision)).filter(|_| false));",
        ),
        "clone_leaves::of_two_clones_that_leave_at_once_one_is_the_last",
    ),
    store(
        "a bucket's own retention is passed over by right",
        "crates/store/src/bucket_update.rs",
        (
            "store::granted(grants, &[bypassing], &resource).is_ok();",
            "true || store::granted(grants, &[bypassing], &resource).is_ok();",
        ),
        "properties::a_bucket_s_retention_in_governance_mode_is_passed_over_by_right",
    ),
    store(
        "an access key that is disabled is none",
        LOGIN,
        ("key.record.disabled || key", "key"),
        "identities::access_keys_can_be_several_end_and_be_disabled",
    ),
    store(
        "an access key ends",
        LOGIN,
        (
            "expires.is_some_and(ended)",
            "expires.is_some_and(|at| false && ended(at))",
        ),
        "identities::access_keys_can_be_several_end_and_be_disabled",
    ),
    store(
        "a revoked token is none",
        BORNE,
        (
            "snapshot.get(&row_key::revoked(id)).await?.is_some()",
            "false && snapshot.get(&row_key::revoked(id)).await?.is_some()",
        ),
        "identities::passwords_keys_and_tokens_lead_to_their_user",
    ),
    store(
        "a token is void with its user's epoch",
        BORNE,
        ("let epoch = Some(token.epoch);", "let epoch = None;"),
        "identities::passwords_keys_and_tokens_lead_to_their_user",
    ),
    store(
        "a login that was right is so until identities change",
        LOGIN,
        (
            ".filter(|one| one.identities == identities)?",
            ".filter(|_| identities == identities)?",
        ),
        "remembered::a_login_ends_with_whatever_it_rests_on",
    ),
    store(
        "a token stands for somebody until the next commit",
        BORNE,
        (
            ".filter(|one| one.sequence == now)",
            ".filter(|_| now == now)",
        ),
        "remembered::what_another_server_changes_counts_at_once",
    ),
    store(
        "a bucket is as it was found until the next commit",
        "crates/store/src/identity/known.rs",
        ("let same = self.sequence == sequence;", "let same = true;"),
        "remembered::what_another_server_changes_counts_at_once",
    ),
    store(
        "a grant is for one action on one resource",
        "crates/store/src/store.rs",
        (
            "if grant.action() == action && grant.resource() == resource {",
            "if grant.action() == action || grant.resource() == resource {",
        ),
        "buckets::a_grant_serves_only_its_action_and_resource",
    ),
];

/// Takes out each check whose rule has `only` in it, and says which test found it.
pub fn run(only: &str) -> Result<(), String> {
    let copy = target()?.join("removed");
    copy_sources(&copy)?;
    let chosen: Vec<&Removed> = CHECKS.iter().filter(|c| c.rule.contains(only)).collect();
    if chosen.is_empty() {
        return Err(format!("no rule has {only:?} in it"));
    }
    for suite in Suite::ALL {
        if chosen.iter().any(|check| check.suite == suite) {
            sound(&copy, suite, &chosen)?;
        }
    }
    let mut missed = Vec::new();
    println!("| taken out | found by |\n|---|---|");
    for check in &chosen {
        match found(&copy, check)? {
            red if red.is_empty() => missed.push(check.rule),
            red => println!("| {} | {} |", check.rule, red.join(", ")),
        }
    }
    println!("{} of {} found", chosen.len() - missed.len(), chosen.len());
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("no test turns red without: {}", missed.join("; "))),
    }
}

/// The sources that git knows, as they are now.
fn copy_sources(copy: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", copy.display());
    if copy.exists() {
        std::fs::remove_dir_all(copy).map_err(failed)?;
    }
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .map_err(|error| format!("git does not run: {error}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), copy.join(name));
        // What was deleted and not yet committed.
        if !from.is_file() {
            continue;
        }
        std::fs::create_dir_all(to.parent().unwrap_or(copy)).map_err(failed)?;
        std::fs::copy(&from, &to).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn tests(copy: &Path, suite: Suite, more: &[&str]) -> Result<Output, String> {
    let mut command = cargo();
    // What was built of the libraries serves the copy, too.
    command
        .arg("test")
        .args(suite.flags())
        .args(more)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target()?);
    command
        .output()
        .map_err(|error| format!("cargo test does not run: {error}"))
}

/// The tests of a suite pass while nothing is taken out, and those that are named are among them.
fn sound(copy: &Path, suite: Suite, chosen: &[&Removed]) -> Result<(), String> {
    let output = tests(copy, suite, &[])?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("red with every check in its place: {said}{errors}"));
    }
    for check in chosen.iter().filter(|check| check.suite == suite) {
        if !said.contains(&format!("test {}", check.test)) {
            return Err(format!("{}: there is no test {}", check.rule, check.test));
        }
    }
    Ok(())
}

/// The tests that turn red without a check.
fn found(copy: &Path, check: &Removed) -> Result<Vec<String>, String> {
    let path: PathBuf = copy.join(check.file);
    let failed = |error: std::io::Error| format!("{}: {error}", check.file);
    let whole = std::fs::read_to_string(&path).map_err(failed)?;
    if whole.matches(check.from).count() != 1 {
        return Err(format!("{}: not once in {}", check.rule, check.file));
    }
    let write = |text: &str| {
        let mut file = std::fs::File::create(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)
    };
    write(&whole.replacen(check.from, check.to, 1))?;
    let outcome = red(copy, check);
    write(&whole)?;
    outcome
}

fn red(copy: &Path, check: &Removed) -> Result<Vec<String>, String> {
    let built = tests(copy, check.suite, &["--no-run"])?;
    if !built.status.success() {
        let errors = String::from_utf8_lossy(&built.stderr);
        return Err(format!("{}: it does not compile: {errors}", check.rule));
    }
    let output = tests(copy, check.suite, &["--no-fail-fast", "--", check.test])?;
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = said.lines().filter_map(|line| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(format!("`{name}`"))
    });
    Ok(failed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_still_there() {
        for check in CHECKS {
            let whole = std::fs::read_to_string(root().join(check.file)).unwrap();
            assert_eq!(whole.matches(check.from).count(), 1, "{}", check.rule);
        }
    }
}
