//! Does a stranger's SIF become a list of objects that are in it, or an error?

#![no_main]

mod image;

use cooperage_image::sif::{self, Sif, SifError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|image: &[u8]| {
    let file = image::part(image).file.try_clone();
    match sif::from_file(file.expect("one more descriptor")) {
        Ok(sif) => check(&sif, image),
        Err(SifError::NotSif | SifError::Version(_) | SifError::Damaged(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
});

fn check(sif: &Sif, image: &[u8]) {
    for object in &sif.objects {
        let (start, size) = (object.offset as usize, object.size as usize);
        let bytes = sif.read(object).expect("it is in the file");
        assert_eq!(bytes, image[start..start + size]);
        sif.json(&object.name).expect("it is in the file");
    }
    if let Some(partition) = sif.primary_partition() {
        assert!(partition.offset + partition.size <= image.len() as u64);
    }
    sif.definition().expect("it is in the file");
}
