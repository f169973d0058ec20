use super::*;

#[test]
fn takes_a_line_whole_and_leaves_what_follows() {
    assert_eq!(line(b"USER ali"), Ok(None));
    assert_eq!(line(b"USER alice\r\nPASS"), Ok(Some((&b"USER alice"[..], 12))));
    assert_eq!(line(b"\n"), Ok(Some((&b""[..], 1))));
}

#[test]
fn refuses_a_line_without_an_end() {
    assert_eq!(line(&[b'x'; LINE_MOST - 1]), Ok(None));
    assert_eq!(line(&[b'x'; LINE_MOST]), Err(Breach));
}

#[test]
fn reads_what_it_writes_as_base64() {
    for (bytes, text) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v")] {
        assert_eq!(to_base64(bytes), text);
        assert_eq!(from_base64(text.as_bytes()).as_deref(), Some(bytes));
    }
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(from_base64(to_base64(&all).as_bytes()), Some(all));
}

#[test]
fn refuses_what_another_reader_may_take_for_other_bytes() {
    for text in
        ["Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm9-", "*", "="]
    {
        assert_eq!(from_base64(text.as_bytes()), None, "{}", text);
    }
}

#[test]
fn takes_a_user_who_acts_for_nobody_else() {
    let alice = Some(("alice".to_owned(), "se cret".to_owned()));
    assert_eq!(plain(to_base64(b"\0alice\0se cret").as_bytes()), alice);
    assert_eq!(plain(to_base64(b"alice\0alice\0se cret").as_bytes()), alice);
    for other in [&b"bob\0alice\0se cret"[..], b"alice\0se cret", b"\0alice\0x\0y", b"\0\xff\0x"] {
        assert_eq!(plain(to_base64(other).as_bytes()), None);
    }
}

#[test]
fn keeps_ends_of_lines_out_of_what_the_server_is_told() {
    assert!(is_name("alice@example.org") && is_password("se cret"));
    for name in ["", "a b", "a\r", "a\n", "a\0", &"x".repeat(256)] {
        assert!(!is_name(name), "{:?}", name);
    }
    for password in ["", "a\r", "a\nQUIT", "a\0"] {
        assert!(!is_password(password), "{:?}", password);
    }
}
