//! Images of one's own: JPEG and PNG files, folders of them, and what is wrong with them.

use std::fs;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use vision_data::{Image, ImageFolder, ImageSet, Shapes10};

/// Writes an image: left half one colour, right half another.
fn write(path: &Path, (width, height): (u32, u32), left: [u8; 3], right: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let color = |x, _| Rgb(if x < width / 2 { left } else { right });
    RgbImage::from_fn(width, height, color).save(path).unwrap();
}

const RED: [u8; 3] = [250, 10, 10];
const BLUE: [u8; 3] = [10, 10, 250];

#[test]
fn png_is_read_to_the_byte_and_jpeg_nearly() {
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("x.png");
    write(&png, (6, 4), RED, BLUE);
    let image = Image::open(&png).unwrap();
    assert_eq!((image.height(), image.width()), (4, 6));
    assert_eq!(image.bytes(), [RED.repeat(3), BLUE.repeat(3)].concat().repeat(4));

    let jpeg = dir.path().join("x.jpg");
    write(&jpeg, (32, 32), RED, BLUE);
    let image = Image::open(&jpeg).unwrap();
    for (x, expected) in [(4, RED), (28, BLUE)] {
        let found = &image.bytes()[3 * (32 * 9 + x)..][..3];
        let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 12);
        assert!(near, "{found:?} is not {expected:?}");
    }
    // A name that says nothing.
    let unnamed = dir.path().join("photograph");
    fs::copy(&png, &unnamed).unwrap();
    assert_eq!(Image::open(&unnamed).unwrap(), Image::open(&png).unwrap());
    // Grey, with transparency, 16 bits.
    let grey = dir.path().join("grey.png");
    image::GrayAlphaImage::from_pixel(2, 2, image::LumaA([7, 0])).save(&grey).unwrap();
    assert_eq!(Image::open(&grey).unwrap().bytes(), [7; 12]);
    let deep = image::ImageBuffer::from_pixel(1, 1, Rgb([0x1234u16, 0, 0xffff]));
    deep.save(&grey).unwrap();
    assert_eq!(Image::open(&grey).unwrap().bytes(), [0x12, 0, 255]);
}

#[test]
fn what_is_saved_is_read_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let star = Shapes10::generate(10, 0, 0).unwrap().train.image(3).unwrap();
    let path = dir.path().join("shapes/star/0.png");
    star.save(&path).unwrap();
    assert_eq!(image::guess_format(&fs::read(&path).unwrap()).unwrap(), ImageFormat::Png);
    assert_eq!(Image::open(&path).unwrap(), star);
    // Where a file is in the way.
    let within = path.join("1.png");
    let error = star.save(&within).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
}

#[test]
fn a_photograph_on_its_side_is_turned_upright() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jpg");
    write(&path, (32, 16), RED, BLUE);
    let mut bytes = fs::read(&path).unwrap();
    // An Exif segment of a camera that was turned: orientation 6, to be rotated right.
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    bytes.splice(2..2, exif.iter().copied());
    fs::write(&path, bytes).unwrap();
    let image = Image::open(&path).unwrap();
    assert_eq!((image.height(), image.width()), (32, 16));
    assert!(image.bytes()[0] > 200, "the left end is the upper one now");
}

#[test]
fn fitted_covers_and_crops_about_the_middle() {
    // Red, then 4 blue columns in the middle, then red: a square crop is all blue.
    let middle = RgbImage::from_fn(12, 4, |x, _| Rgb(if (4..8).contains(&x) { BLUE } else { RED }));
    let image = Image::from_bytes(4, 12, middle.into_raw()).unwrap();
    assert_eq!(image.fitted(4, 4).unwrap().bytes(), BLUE.repeat(16));
    let small = image.fitted(2, 2).unwrap();
    assert_eq!((small.height(), small.width()), (2, 2));
    assert_eq!(image.fitted(4, 12).unwrap(), image);
    // A flat colour stays what it is at every size.
    let flat = Image::from_bytes(5, 3, RED.repeat(15)).unwrap();
    for (height, width) in [(1, 1), (9, 2), (64, 64), (3, 5)] {
        let fitted = flat.fitted(height, width).unwrap();
        assert_eq!(fitted.bytes(), RED.repeat((height * width) as usize));
    }
    assert!(flat.fitted(0, 3).unwrap_err().to_string().contains("image size is 0x3"));
    assert!(Image::from_bytes(2, 2, vec![0; 11]).is_err());
    assert!(Image::from_bytes(2, 2, vec![0; 13]).is_err());
    assert!(Image::from_bytes(0, 0, vec![]).is_err());
}

#[test]
fn a_file_that_is_no_image_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: Option<&[u8]>, expected: &str| {
        let path = dir.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        let error = Image::open(&path).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    refused("missing.png", None, "No such file");
    refused("empty.png", Some(b""), "give a whole JPEG or PNG file");
    refused("text.jpg", Some(b"not an image"), "give a whole JPEG or PNG file");
    refused("animation.gif", Some(b"GIF89a\x01\x00\x01\x00"), "give a whole JPEG or PNG file");
    for name in ["cut.png", "cut.jpg"] {
        let path = dir.path().join(name);
        let noise = RgbImage::from_fn(40, 40, |x, y| Rgb([(x * y) as u8, (x * 7) as u8, y as u8]));
        noise.save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        refused(name, Some(&whole[..whole.len() / 2]), "give a whole JPEG or PNG file");
    }
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    assert!(Image::open(&folder).unwrap_err().to_string().starts_with(folder.to_str().unwrap()));
}

#[test]
fn class_folders_are_a_data_set() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("flowers");
    for index in 0..10u8 {
        write(&root.join(format!("tulip/{index}.png")), (20, 10), [index; 3], [index; 3]);
    }
    for index in 0..5u8 {
        let (path, color) = (root.join(format!("rose/{index}.jpg")), [100 + index; 3]);
        write(&path, (8, 8), color, color);
    }
    fs::write(root.join(".DS_Store"), "x").unwrap();
    fs::write(root.join("rose/.hidden"), "x").unwrap();
    let data = ImageFolder::open(&root, 8).unwrap();
    assert_eq!(
        (data.name.as_str(), data.classes.as_slice()),
        ("flowers", &["rose".into(), "tulip".into()][..])
    );
    assert_eq!((data.train.len(), data.test.len()), (12, 3));
    assert_eq!(data.train.image_size(), (8, 8));
    // Every fifth is for testing, and pixels go with labels.
    let of = |set: &ImageSet| -> Vec<(usize, u8)> {
        let one = |i| (set.label(i).unwrap(), set.image(i).unwrap().bytes()[0]);
        (0..set.len()).map(one).collect()
    };
    assert_eq!(of(&data.test), [(0, 104), (1, 4), (1, 9)]);
    let expected: Vec<(usize, u8)> = [100, 101, 102, 103]
        .map(|b| (0, b))
        .into_iter()
        .chain([0, 1, 2, 3, 5, 6, 7, 8].map(|b| (1, b)))
        .collect();
    assert_eq!(of(&data.train), expected);
}

#[test]
fn splits_that_are_there_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for (path, byte) in
        [("train/a/1.png", 1), ("train/b/1.png", 2), ("val/a/1.png", 3), ("val/b/1.png", 4)]
    {
        write(&dir.path().join(path), (4, 4), [byte; 3], [byte; 3]);
    }
    let data = ImageFolder::open(dir.path(), 4).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (2, 2));
    assert_eq!(data.test.image(1).unwrap().bytes()[0], 4);
    fs::remove_dir_all(dir.path().join("val/b")).unwrap();
    let error = ImageFolder::open(dir.path(), 4).unwrap_err().to_string();
    assert!(error.contains("val/b: is missing"), "{error}");
}

#[test]
fn bad_folders_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let refused = |path: &Path, expected: &str| {
        let error = ImageFolder::open(root, 8).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    refused(root, "holds no class folder");
    fs::create_dir(root.join("rose")).unwrap();
    refused(&root.join("rose"), "is empty");
    write(&root.join("rose/1.png"), (4, 4), RED, BLUE);
    refused(&root.join("rose"), "holds 1 images");
    for index in 2..6 {
        write(&root.join(format!("rose/{index}.png")), (4, 4), RED, BLUE);
    }
    fs::write(root.join("rose/4.png"), "cut").unwrap();
    refused(&root.join("rose/4.png"), "cannot be read as an image");
    write(&root.join("rose/4.png"), (4, 4), RED, BLUE);
    assert_eq!(ImageFolder::open(root, 8).unwrap().train.len(), 4);
    assert!(ImageFolder::open(root, 0).unwrap_err().to_string().contains("image size is 0"));
    let error = ImageFolder::open(root.join("missing"), 8).unwrap_err().to_string();
    assert!(error.contains("missing: there is no such folder"), "{error}");
}

#[test]
fn images_out_of_a_set() {
    let set = Shapes10::generate(12, 0, 0).unwrap().train;
    assert_eq!(set.label(11).unwrap(), 1);
    let bytes: Vec<u8> = Vec::try_from(set.images().get(11).contiguous().view([-1])).unwrap();
    assert_eq!(set.image(11).unwrap().bytes(), bytes);
    assert!(set.image(12).unwrap_err().to_string().contains("there are 12"));
    assert!(set.label(12).is_err());
    // Reads well after a file has gone through it.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.png");
    image::save_buffer_with_format(&path, &bytes, 32, 32, image::ColorType::Rgb8, ImageFormat::Png)
        .unwrap();
    assert_eq!(Image::open(&path).unwrap(), set.image(11).unwrap());
}
