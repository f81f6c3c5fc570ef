//! Secrets that are made here: access keys, secret keys, passwords.

use trestle_host::Random;

/// Characters that look different from each other.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A password: 24 characters, 139 bits.
pub fn new_password(random: &dyn Random) -> String {
    text(random, LETTERS, 24)
}

/// An access key: 20 capitals and digits.
pub fn new_access_key(random: &dyn Random) -> String {
    text(random, CAPITALS, 20)
}

/// A secret key: 40 characters, 232 bits.
pub fn new_secret_key(random: &dyn Random) -> String {
    text(random, LETTERS, 40)
}

fn text(random: &dyn Random, alphabet: &[u8], length: usize) -> String {
    let mut chosen = String::with_capacity(length);
    while chosen.len() < length {
        let mut byte = [0];
        random.fill(&mut byte);
        // Values beyond a multiple of the alphabet would favour its first letters.
        let [value] = byte.map(usize::from);
        if value < 256 / alphabet.len() * alphabet.len()
            && let Some(letter) = alphabet.get(value % alphabet.len())
        {
            chosen.push(char::from(*letter));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_host::SeededRandom;

    #[test]
    fn each_is_new_and_of_its_length() {
        let random = SeededRandom::new(1);
        let one = [
            new_password(&random),
            new_access_key(&random),
            new_secret_key(&random),
        ];
        assert_eq!(one.each_ref().map(String::len), [24, 20, 40]);
        assert_ne!(one[0], new_password(&random));
        assert!(one[1].bytes().all(|byte| CAPITALS.contains(&byte)));
    }
}
