use crate::fixture::*;
use std::sync::Arc;
use trestle_core::*;
use trestle_store::PutObject;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creators_one_wins() {
    let f = Arc::new(Fixture::new().await);
    let max = f.engine.data.body_bytes_max();
    for round in 0..20usize {
        let tasks: Vec<_> = (0..16usize)
            .map(|task| {
                let f = f.clone();
                tokio::spawn(async move {
                    let put = PutObject {
                        encrypt: None,
                        precondition: Precondition::absent(),
                        ..a_put("b", &format!("k{round}"))
                    };
                    let size = if task % 2 == 0 { 10 } else { max + 10 };
                    let bytes = pattern(size, task as u8);
                    f.put_with(put, &bytes).await.map(|_| bytes)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(bytes) => winners.push(bytes),
                Err(error) => assert_eq!(error.kind(), ErrorKind::PreconditionFailed),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(f.read(&format!("k{round}")).await.unwrap(), winners[0]);
    }
    assert_eq!(f.usage("b").await.0, 20);
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counters_stay_exact_under_mixed_writes() {
    let f = Arc::new(Fixture::new().await);
    let max = f.engine.data.body_bytes_max();
    let tasks: Vec<_> = (0..16usize)
        .map(|task| {
            let f = f.clone();
            tokio::spawn(async move {
                for i in 0..60usize {
                    let k = format!("k{}", (task * 7 + i * 3) % 10);
                    if (task + i) % 3 == 0 {
                        match f.delete(&k).await {
                            Ok(_) => {}
                            Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound(Noun::Object)),
                        }
                    } else {
                        let size = if i % 10 == 0 { max + i } else { i * 13 };
                        f.put(&k, &pattern(size, task as u8)).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let summary = f.assert_sound().await;
    f.assert_nothing_leaked().await;
    assert_eq!(f.usage("b").await, (summary.objects, summary.bytes));
    let account = f.account_usage().await;
    assert_eq!(
        (account.buckets, account.objects, account.bytes),
        (1, summary.objects, summary.bytes)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_is_never_deleted_from_under_an_object() {
    let f = Arc::new(Fixture::new().await);
    for _ in 0..50 {
        let (f1, f2) = (f.clone(), f.clone());
        let put = tokio::spawn(async move { f1.put("k", b"x").await });
        let delete = tokio::spawn(async move { f2.delete_bucket("b").await });
        match (put.await.unwrap(), delete.await.unwrap()) {
            (Ok(_), Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::NotEmpty);
                f.delete("k").await.unwrap();
            }
            (Err(error), Ok(())) => {
                assert_eq!(error.kind(), ErrorKind::NotFound(Noun::Bucket));
                f.create("b").await.unwrap();
            }
            other => panic!("{other:?}"),
        }
        f.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_buckets_of_one_name_one_is_made() {
    let f = Arc::new(Fixture::new().await);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let f = f.clone();
            tokio::spawn(async move { f.create("new").await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists(Noun::Bucket)),
        }
    }
    assert_eq!(made, 1);
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}
