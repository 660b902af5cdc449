//! What cells write.

use cell_process::host::Event;

use crate::common::Session;

#[test]
fn content_and_messages_are_told_from_text() {
    let session = Session::start();
    let told = session.run(
        r#"println!("EVCXR_BEGIN_CONTENT text/html\n<b>\n</b>\nEVCXR_END_CONTENT");
           print!("x");
           println!("EVCXR_JUPYTER_MESSAGE {{\"type\":\"display_data\",\"content\":{{}}}}");
           print!("y");
           println!("EVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT");
           println!("EVCXR_FLUSH_OUTPUT");
           println!("EVCXR_PANIC_NOTIFICATION\nEVCXR_EXECUTION_COMPLETE");
           println!("EVCXR_ERROR_OCCURRED\nEVCXR_VARIABLE_CHANGED_TYPE:x");
           println!("EVCXR_BEGIN_CONTENT text/plain\nno end");"#,
    );
    let text = "xyEVCXR_PANIC_NOTIFICATION\nEVCXR_EXECUTION_COMPLETE\nEVCXR_ERROR_OCCURRED\n\
                EVCXR_VARIABLE_CHANGED_TYPE:x\nEVCXR_BEGIN_CONTENT text/plain\nno end\n";
    assert_eq!(told.out, text);
    let others: Vec<_> = told
        .events
        .iter()
        .filter(|event| matches!(event, Event::Content { .. } | Event::Message(_)))
        .cloned()
        .collect();
    let content = |kind: &str, body: &str| Event::Content { kind: kind.into(), body: body.into() };
    let message = Event::Message(br#"{"type":"display_data","content":{}}"#.to_vec());
    assert_eq!(others, [content("text/html", "<b>\n</b>"), message, content("text/plain", "1")]);
}

#[test]
fn content_is_told_as_it_comes() {
    let session = Session::start();
    // The cell waits until its content has been seen.
    let told = session.run_with(
        r#"println!("EVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT");
           let mut line = String::new(); stdin().read_line(&mut line).unwrap();"#,
        |process, event| {
            if let Event::Input { question, .. } = event {
                process.answer(*question, Some("go")).unwrap();
            }
        },
    );
    let content = told.events.iter().position(|event| matches!(event, Event::Content { .. }));
    let question = told.events.iter().position(|event| matches!(event, Event::Input { .. }));
    assert!(content.unwrap() < question.unwrap());
}

#[test]
fn bytes_that_are_no_text_and_long_lines_arrive() {
    let session = Session::start();
    let told = session.run(
        "stdout().write_all(&[0, 255, 254, b'\\n']).unwrap();
         stdout().write_all(&vec![b'a'; 30_000_000]).unwrap(); println!();",
    );
    let bytes: Vec<u8> = told
        .events
        .iter()
        .flat_map(|event| if let Event::Stdout(bytes) = event { &bytes[..] } else { &[] })
        .copied()
        .collect();
    assert_eq!(bytes[..4], [0, 255, 254, b'\n']);
    assert_eq!(bytes.len(), 30_000_005);
    let longest = told.events.iter().map(|event| match event {
        Event::Stdout(bytes) => bytes.len(),
        _ => 0,
    });
    assert!(longest.max().unwrap() <= 1 << 17);
}

#[test]
fn c_code_and_programs_and_raw_descriptors_arrive_before_the_end() {
    let session = Session::start();
    let told = session.run(
        "unsafe extern \"C\" { fn puts(text: *const std::ffi::c_char) -> i32; }
         unsafe { puts(c\"from C\".as_ptr()) };
         let sh = |code: &str| {
             std::process::Command::new(\"sh\").arg(\"-c\").arg(code).status().unwrap(); };
         sh(\"echo out; echo err >&2; head -c 200000 /dev/zero\");
         std::fs::write(\"/dev/stdout\", \"by path\\n\").unwrap();",
    );
    assert!(told.is_done());
    for text in ["from C\n", "out\n", "by path\n"] {
        assert!(told.out.contains(text), "{text}");
    }
    assert_eq!(told.out.bytes().filter(|byte| *byte == 0).count(), 200_000);
    assert_eq!(told.err, "err\n");
}

#[test]
fn threads_write_after_the_end_of_their_cell() {
    let session = Session::start();
    let told = session.run(
        "std::thread::spawn(|| {
             std::thread::sleep(std::time::Duration::from_millis(300)); println!(\"later\"); });",
    );
    assert!(told.is_done() && told.out.is_empty());
    session.wait_for("later\n");
}

#[test]
fn writes_of_several_parts_arrive() {
    let told = Session::start().run(
        "use std::os::fd::FromRawFd;
         let mut out = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(1) });
         let parts = [IoSlice::new(b\"\"), IoSlice::new(b\"ab\"), IoSlice::new(b\"cd\")];
         let n = out.write_vectored(&parts).unwrap(); println!(\" {n}\");",
    );
    assert_eq!(told.out, "ab 2\n");
}
