//! Who signed which image?

use cooperage_protocol::ImageId;
use sqlx::{PgConnection, PgPool};

use crate::sif::{Covers, SifSignature};

/// Notes the signatures of an image.
pub(crate) async fn insert(
    db: &mut PgConnection,
    image: ImageId,
    signatures: &[SifSignature],
) -> sqlx::Result<()> {
    for (number, signature) in (0..).zip(signatures) {
        sqlx::query!(
            "INSERT INTO image_signatures (image_id, number, fingerprint, covers, message)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
            image.0,
            number,
            signature.fingerprint,
            signature.covers.as_str(),
            signature.message,
        )
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// The signatures of an image, in their order.
pub(crate) async fn of_image(db: &PgPool, image: ImageId) -> sqlx::Result<Vec<SifSignature>> {
    let rows = sqlx::query!(
        "SELECT fingerprint, covers, message
         FROM image_signatures
         WHERE image_id = $1
         ORDER BY number",
        image.0,
    )
    .fetch_all(db)
    .await?;
    let signatures = rows.into_iter().map(|row| SifSignature {
        fingerprint: row.fingerprint,
        covers: Covers::parse(&row.covers),
        message: row.message,
    });
    Ok(signatures.collect())
}
